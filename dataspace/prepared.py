"""Statements on the hot paths, reads of data before all: compiled once, and run by the driver's own cursor.

SQLAlchemy looks a statement up by all its parts and builds a result around every answer. For a read of data that costs
several times what SQLite does. Here SQLAlchemy compiles a statement once for each kind of database; values and rows go
through the types of its columns, errors are SQLAlchemy's, and whoever listens to what is executed hears of these too.
"""

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from sqlalchemy import Dialect
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from dataspace.db import connection

Convert = Callable[[Any], Any]


class Prepared:
    """One Core statement, run in the session's transaction. ``filled``: the columns that an INSERT is given values for.

    A value that is not given is NULL, unless the statement itself says what it is. Raises DBAPIError.
    """

    def __init__(self, statement: Any, *, filled: Iterable[str] | None = None) -> None:
        self._statement, self._filled = statement, None if filled is None else list(filled)
        self._forms: dict[str, _Form] = {}

    def all(self, values: Mapping[str, Any]) -> list[Any]:
        """Every row, as a named tuple of its columns."""
        link = connection()
        form = self._form(link)
        cursor = form.executed(link, values)
        found = [form.row(row) for row in cursor.fetchall()]
        cursor.close()
        return found

    def first(self, values: Mapping[str, Any]) -> Any:
        """The first row; None when there is none."""
        return next(iter(self.all(values)), None)

    def run(self, values: Mapping[str, Any]) -> int:
        """How many rows were written."""
        link = connection()
        cursor = self._form(link).executed(link, values)
        count: int = cursor.rowcount
        cursor.close()
        return count

    def row(self, values: Sequence[Any]) -> Any:
        """The row of what the driver would have found, and has found in another way."""
        return self._form(connection()).row(values)

    def _form(self, link: Connection) -> "_Form":
        dialect = link.dialect
        form = self._forms.get(dialect.name)
        if form is None:
            form = self._forms[dialect.name] = _Form(self._statement, self._filled, dialect)
        return form


class _Form:
    """What a statement is for one kind of database: its text, and how values and rows are converted."""

    def __init__(self, statement: Any, filled: list[str] | None, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect, column_keys=filled)
        self.text: str = compiled.string
        self.by_position: bool = compiled.positional
        bound = [(name, compiled.binds[name]) for name in compiled.positiontup or compiled.params]
        self.bound: list[tuple[str, Any, Convert | None]] = [
            (name, None if bind.required else bind.effective_value, _kind(bind.type, dialect).bind_processor(dialect))
            for name, bind in bound
        ]
        columns = list(statement.exported_columns)
        converts = [_kind(column.type, dialect).result_processor(dialect, None) for column in columns]
        self.converts = [(n, convert) for n, convert in enumerate(converts) if convert is not None]
        self.named: Any = namedtuple("Row", [column.name for column in columns])  # type: ignore[misc]  # noqa: PYI024

    def executed(self, link: Connection, values: Mapping[str, Any]) -> Any:
        """A cursor that has executed it."""
        sent = [
            values.get(name, own) if convert is None else convert(values.get(name, own))
            for name, own, convert in self.bound
        ]
        parameters: Any = sent if self.by_position else dict(zip((b[0] for b in self.bound), sent, strict=True))
        cursor, about = link.connection.cursor(), (self.text, parameters, None, False)
        for heard in link.dispatch.before_cursor_execute:
            heard(link, cursor, *about)
        driver: Any = link.dialect.loaded_dbapi
        try:
            cursor.execute(self.text, parameters)
        except driver.Error as error:
            lost = link.dialect.is_disconnect(error, cast("Any", link.connection.dbapi_connection), cursor)
            if lost:
                link.invalidate(error)
                link.engine.dispose()  # those that wait are as old
            # Without the values: they would be in its text.
            told = DBAPIError.instance(self.text, None, error, driver.Error, connection_invalidated=lost)
            raise cast("DBAPIError", told) from error
        for heard in link.dispatch.after_cursor_execute:
            heard(link, cursor, *about)
        return cursor

    def row(self, found: Sequence[Any]) -> Any:
        """The named tuple of what the driver has found."""
        values = list(found)
        for n, convert in self.converts:
            values[n] = convert(values[n])
        return self.named._make(values)


def _kind(general: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    return general.dialect_impl(dialect)
