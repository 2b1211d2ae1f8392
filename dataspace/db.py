"""The SQLAlchemy object, the column types and the naming convention of every table; transactions without a session.

One convention from the first migration on, so that SQLite and PostgreSQL name constraints alike; datetimes are
timezone-aware UTC on both (SQLite would hand back naive ones); SQLite enforces foreign keys and waits for its lock.
"""

import datetime as dt
import secrets
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import orjson
import psycopg
from flask_sqlalchemy import SQLAlchemy
from flask_sqlalchemy.session import Session
from sqlalchemy import (
    JSON,
    BigInteger,
    ColumnElement,
    DateTime,
    Dialect,
    Integer,
    MetaData,
    Select,
    Table,
    any_,
    delete,
    event,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, registry
from sqlalchemy.types import TypeDecorator

from dataspace.settings import Settings

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class UTCDateTime(TypeDecorator[dt.datetime]):
    """A timezone-aware UTC datetime; a naive value is a programming error and raises ValueError."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("naive datetime")
        value = value.astimezone(dt.UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


# JSON documents that we query only as a whole.
Document = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
# A row number that grows: SQLite counts only INTEGER primary keys up.
RowId = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    """Base of all tables."""

    registry = registry(
        metadata=MetaData(naming_convention=NAMING),
        type_annotation_map={dt.datetime: UTCDateTime(), dict[str, Any]: Document, list[Any]: Document},
    )


def engine_options(settings: Settings) -> dict[str, Any]:
    """How the engine is made. Every hot path has JSON documents, so the fast library reads and writes them."""
    options: dict[str, Any] = {"json_deserializer": orjson.loads, "json_serializer": _json}
    if settings.database_url.startswith("postgresql"):
        options["pool_size"] = settings.pool_size
    return options


def _json(document: Any) -> str:
    return orjson.dumps(document).decode()


@dataclass
class _Bare:
    """A transaction without a session; ``link``: once something was asked."""

    link: Connection | None = None


_bare: ContextVar[_Bare | None] = ContextVar("bare", default=None)


class _Session(Session):
    """Flask-SQLAlchemy's session; it goes on in the transaction that was begun without it, if there is one."""

    def __init__(self, db: SQLAlchemy, **options: Any) -> None:
        super().__init__(db, join_transaction_mode="control_fully", **options)
        if _begun() is not None:
            self.connection()

    def get_bind(self, *args: Any, **options: Any) -> Engine | Connection:
        """The connection of that transaction, or the engine."""
        return _begun() or super().get_bind(*args, **options)


db = SQLAlchemy(model_class=Base, session_options={"class_": _Session})
if TYPE_CHECKING:
    Model = Base
else:
    Model = db.Model  # the base of every table; a name of its own because type checkers cannot follow an attribute


def begin_without_session() -> None:
    """The next transaction is for Core statements alone, for the path of every read: a session costs as much again.

    Whatever asks for the session meanwhile gets one that goes on in it. It ends with :func:`commit`, or with
    :func:`close` at the end of the request.
    """
    if _bare.get() is None and not db.session.registry.has():
        _bare.set(_Bare())


def commit() -> None:
    """Commit what :func:`connection` has done, with or without a session."""
    link = _begun()
    if link is None or db.session.registry.has():
        db.session.commit()
    else:
        link.commit()
        close()


def close(_error: BaseException | None = None) -> None:
    """Give back the connection that no session had, and undo what was not committed."""
    link = _begun()
    _bare.set(None)
    if link is not None:
        link.close()


def connection() -> Connection:
    """The connection of the transaction, for Core statements.

    ``db.session.connection()`` looks for its engine anew each time, which on the hot paths costs as much as a
    statement; here it is found once per transaction.
    """
    bare = _bare.get()
    if bare is not None and not db.session.registry.has():
        if bare.link is None:
            bare.link = db.engine.connect()
            bare.link.begin()
        return bare.link
    session = db.session()
    transaction, found = session.info.get("connection", (None, None))
    if found is None or transaction is not session.get_transaction():
        found = session.connection()
        session.info["connection"] = (session.get_transaction(), found)
    return cast("Connection", found)


def _begun() -> Connection | None:
    bare = _bare.get()
    return bare.link if bare is not None else None


def be_patient() -> None:
    """Wait up to a minute for SQLite's one lock, for work that nobody waits for; from now on, on this connection.

    Who waits for it looks for it now and then, and somebody who writes row after row is there first each time.
    """
    if db.engine.dialect.name == "sqlite":
        connection().exec_driver_sql("PRAGMA busy_timeout=60000")


def table_of(model: type[Base]) -> Table:
    """The table of a model, for the Core statements of the hot paths, which are built once and reused."""
    return cast("Table", model.__table__)


def among(column: ColumnElement[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """``column IN values`` for hundreds of values: on PostgreSQL one array, so that the statement stays the same."""
    if db.engine.dialect.name != "postgresql":
        return column.in_(values)
    return column == any_(literal(list(values), ARRAY(column.type)))


def insert_many(model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows that all name the same columns; what they do not name stays empty, without the defaults of the model.

    On PostgreSQL they go over in one stream: a statement for each costs as much again as the row.
    Raises DBAPIError as a statement does.
    """
    link, table = connection(), table_of(model)
    if link.dialect.name != "postgresql":
        link.execute(insert(table), rows)
        return
    names = list(rows[0])
    statement = f"COPY {table.name} ({', '.join(names)}) FROM STDIN (FORMAT BINARY)"
    cursor: Any = link.connection.cursor()
    try:
        with cursor, cursor.copy(statement) as copy:
            copy.set_types([table.c[name].type.compile(link.dialect).lower().partition("(")[0] for name in names])
            for row in rows:
                copy.write_row([row[name] for name in names])
    except psycopg.Error as error:
        raise cast("DBAPIError", DBAPIError.instance(statement, None, error, psycopg.Error)) from error


def insert_new(table: type[Base]) -> Any:
    """An INSERT that does nothing when a unique key is taken; ask what it returns to know whether the row is new."""
    insert = postgresql.insert if db.engine.dialect.name == "postgresql" else sqlite.insert
    return insert(table).on_conflict_do_nothing()


def delete_some(model: type[Base], *over: ColumnElement[bool], by: InstrumentedAttribute[Any], limit: int) -> int:
    """Delete up to ``limit`` rows of a table with one key column, in the order of the indexed ``by``; returns how many.

    Several sweepers at once take different rows; SQLite has one writer anyhow and leaves the locks out.
    """
    those = _some(model, *over, by=by, limit=limit)
    return connection().execute(delete(table_of(model)).where(those)).rowcount


def update_some(
    model: type[Base], *due: ColumnElement[bool], by: InstrumentedAttribute[Any], limit: int, **values: Any
) -> int:
    """As :func:`delete_some`, for rows that get other values, and are not ``due`` any more then."""
    those = _some(model, *due, by=by, limit=limit)
    return connection().execute(update(table_of(model)).where(those).values(values)).rowcount


def read_once(some: Select[Any]) -> Select[Any]:
    """Up to so many rows that are to be changed, for an ``IN``: looked for once.

    PostgreSQL may run a subquery with a LIMIT anew for every row of the table, and take more; a CTE it runs once.
    SQLite does so anyway, and Python's sqlite3 opens no transaction for a statement that begins with WITH.
    """
    return some if db.engine.dialect.name == "sqlite" else select(some.cte("some"))


def _some(
    model: type[Base], *which: ColumnElement[bool], by: InstrumentedAttribute[Any], limit: int
) -> ColumnElement[bool]:
    """The condition of up to ``limit`` rows that nobody else has locked."""
    (key,) = table_of(model).primary_key.columns
    return key.in_(read_once(select(key).where(*which).order_by(by).limit(limit).with_for_update(skip_locked=True)))


def new_id(prefix: str) -> str:
    """A public identifier: ``prefix`` says what it names, 96 random bits make it unguessable."""
    return f"{prefix}_{secrets.token_hex(12)}"


@event.listens_for(Engine, "connect")
def _sqlite_pragmas(connection: Any, _record: Any) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.execute("PRAGMA cache_size=-32768")  # KiB, as far as they are needed: a long history has large indexes
    cursor.close()
