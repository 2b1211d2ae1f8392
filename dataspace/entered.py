"""A row together with its entry in the log of evidence, in one statement: neither is ever there without the other.

PostgreSQL writes the second one in a CTE. SQLite writes to one table in a statement, or to a view that hands both on;
a migration that changes the table makes the view anew, and a test compares the two.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import DDL, Table, bindparam, event, insert
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table

from dataspace.db import connection, table_of
from dataspace.entries import Entry, WaitingEntry
from dataspace.prepared import Prepared

KEY, DIGEST = "entry_key", "entry_digest"


class Entered:
    """INSERTs into a table whose key, ``numbered``, the database counts up."""

    def __init__(self, table: Table, *, numbered: str) -> None:
        columns = {column.name: column.type for column in table.c if column.name != numbered}
        waiting = table_of(WaitingEntry)
        entry = insert(waiting).values(key=bindparam(KEY), entry=bindparam(DIGEST))
        both = columns | {KEY: waiting.c.key.type, DIGEST: waiting.c.entry.type}
        view = sql_table(f"{table.name}_entered", *(sql_column(name, kind) for name, kind in both.items()))
        self._statements = {
            "postgresql": Prepared(insert(table).inline().add_cte(entry.cte("entered")), filled=columns),
            "sqlite": Prepared(insert(view), filled=both),
        }
        for statement in _view(view.name, table.name, list(columns)):
            _on_sqlite(table, "after_create", statement)
        _on_sqlite(table, "before_drop", f"DROP VIEW IF EXISTS {view.name}")

    def run(self, row: Mapping[str, Any], entry: Entry) -> None:
        """Write both; columns that are not named stay empty."""
        both = {**row, KEY: entry.key, DIGEST: entry.digest}
        self._statements[connection().dialect.name].run(both)


def _view(view: str, table: str, columns: list[str]) -> tuple[str, str]:
    """What makes the view, and what happens to a row that is written to it."""
    names, values = ", ".join(columns), ", ".join(f"NEW.{column}" for column in columns)
    waiting = WaitingEntry.__tablename__
    seen = f"SELECT {names}, key AS {KEY}, entry AS {DIGEST} FROM {table}, {waiting} WHERE 0"  # noqa: S608
    first = f"INSERT INTO {table} ({names}) VALUES ({values})"  # noqa: S608
    second = f"INSERT INTO {waiting} (key, entry) VALUES (NEW.{KEY}, NEW.{DIGEST})"  # noqa: S608
    handed_on = f"CREATE TRIGGER {view}_insert INSTEAD OF INSERT ON {view} BEGIN {first}; {second}; END"
    return f"CREATE VIEW {view} AS {seen}", handed_on


def _on_sqlite(table: Table, moment: str, statement: str) -> None:
    """With all tables, for the other one has to be there, too."""
    made: Any = DDL(statement)  # type: ignore[no-untyped-call]
    event.listen(table.metadata, moment, made.execute_if(dialect="sqlite"))
