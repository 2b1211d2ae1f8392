"""A database that is emptied after each test, which is several times as fast as making one for each.

Afterwards it is as it was made: the rows of the template, no others, and every row number starts anew.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Self

import sqlalchemy as sa

from dataspace.db import Base

# Longer than anything here takes: whoever still holds a lock then has left a transaction open, and the test fails.
PATIENCE = 5  # seconds


class Emptied(ExitStack):
    """The database of one worker, made by ``make``, and made again after a test that has changed its tables."""

    def __init__(self, make: Callable[[], AbstractContextManager[str]]) -> None:
        super().__init__()
        self._make = make
        # A row is deleted before the row that it names.
        self._tables = {table.name: table for table in reversed(Base.metadata.sorted_tables)}
        self._written = sa.union_all(
            *(
                sa.select(sa.literal_column(f"'{name}'")).where(sa.exists(sa.select(1).select_from(table)))
                for name, table in self._tables.items()
            )
        )

    def __enter__(self) -> Self:
        self._begin()
        return super().__enter__()

    def empty(self) -> None:
        """Back to the template."""
        try:
            with self._engine.begin() as connection:
                as_made = self._described(connection) == self._description
                if as_made:
                    self._restore(connection)
        except sa.exc.OperationalError:
            self._begin()  # the next test shall not suffer
            raise
        if not as_made:
            self._begin()

    def _begin(self) -> None:
        self.close()
        self.url = self.enter_context(self._make())
        self._engine = sa.create_engine(self.url, poolclass=sa.StaticPool)
        self.callback(self._engine.dispose)
        self._postgresql = self._engine.dialect.name == "postgresql"
        with self._engine.begin() as connection:
            if self._postgresql:
                connection.execute(sa.text(f"SET lock_timeout = '{PATIENCE}s'"))
            self._description = self._described(connection)
            self._kept = {name: self._rows(connection, name) for name in connection.scalars(self._written)}
            self._numbers = self._counted(connection)

    def _restore(self, connection: sa.Connection) -> None:
        changed = {name for name in connection.scalars(self._written) if name not in self._kept}
        changed |= {name for name, rows in self._kept.items() if self._rows(connection, name) != rows}
        for name, table in self._tables.items():
            if name in changed:
                connection.execute(table.delete())
        for name in reversed(self._tables):
            if name in changed and name in self._kept:
                connection.execute(self._tables[name].insert(), self._kept[name])
        for sequence, number in self._counted(connection).items():
            before = self._numbers[sequence]
            if number != before:
                connection.execute(sa.select(sa.func.setval(sequence, before or 1, before is not None)))

    def _rows(self, connection: sa.Connection, name: str) -> list[dict[str, Any]]:
        return [dict(row) for row in connection.execute(self._tables[name].select()).mappings()]

    def _described(self, connection: sa.Connection) -> set[tuple[Any, ...]]:
        """Which tables and indexes there are."""
        return {tuple(row) for row in connection.execute(_RELATIONS if self._postgresql else _SCHEMA)}

    def _counted(self, connection: sa.Connection) -> dict[str, int | None]:
        """The last number of each sequence; SQLite counts on from the rows."""
        return dict(connection.execute(_SEQUENCES).all()) if self._postgresql else {}


_SCHEMA = sa.text("SELECT name, rootpage, sql FROM sqlite_schema")
_RELATIONS = sa.text("SELECT oid, relname, relnatts FROM pg_class WHERE relnamespace = current_schema()::regnamespace")
_SEQUENCES = sa.text(
    "SELECT quote_ident(sequencename), last_value FROM pg_sequences WHERE schemaname = current_schema()"
)
