"""What was read by law and held back is shown: its lines come into the access log, and the holder is told why so late.

By the clock and by nothing else: there is no way to put it off. Shown are whole lines as they were written, with the
salts of their entries in the log of evidence, where they have stood from the first moment on.
"""

import datetime as dt
from typing import Any

from sqlalchemy import LargeBinary, delete, insert, select, update

from dataspace import messages
from dataspace.accesses import Access, Action
from dataspace.by_law import DeferredAccess, LawCase
from dataspace.db import UTCDateTime, connection, db, read_once, table_of
from dataspace.errors import NotFound
from dataspace.holders import Holder
from dataspace.messages import Group, Notice

_LINES = table_of(Access)


def sweep(now: dt.datetime, limit: int) -> int:
    """Show up to ``limit`` lines whose time has come; returns how many."""
    due = select(DeferredAccess.deferred_id).where(DeferredAccess.shown_at <= now)
    due = due.order_by(DeferredAccess.shown_at, DeferredAccess.deferred_id).limit(limit)
    taken = (
        delete(DeferredAccess)
        .where(DeferredAccess.deferred_id.in_(read_once(due.with_for_update(skip_locked=True))))
        .returning(DeferredAccess.deferred_id, DeferredAccess.case_id, DeferredAccess.space_id, DeferredAccess.line)
    )
    rows = sorted(db.session.execute(taken).all())
    if rows:
        connection().execute(insert(_LINES), [_line(row.line) for row in rows])
        _tell({row.case_id: row.space_id for row in rows if row.case_id is not None}, now)
    return len(rows)


def received(delivery_id: str, client_id: str) -> Access:
    """The line of a delivery for the client that received it, also while its holder is not shown it.

    Raises NotFound; what a holder has shown to somebody, no client has received.
    """
    # In this order: meanwhile a line may move from here to there, and never back.
    kept = db.session.scalar(select(DeferredAccess.line).where(DeferredAccess.delivery_id == delivery_id))
    shown = select(Access).where(Access.delivery_id == delivery_id, Access.action != Action.SHOW)
    line = Access(**_line(kept)) if kept is not None else db.session.scalar(shown)
    if line is None or line.client_id != client_id:
        raise NotFound("no delivery to this client")
    return line


def _tell(cases: dict[str, str], now: dt.datetime) -> None:
    """Note that these cases are shown now, and tell their holders, once."""
    for case_id, space_id in sorted(cases.items()):
        first = update(LawCase).where(LawCase.case_id == case_id, LawCase.disclosed_at.is_(None))
        db.session.execute(first.values(disclosed_at=now).execution_options(synchronize_session=False))
        open_spaces = select(Holder.holder_id).where(Holder.space_id == space_id, Holder.closed_at.is_(None))
        if db.session.scalar(open_spaces) is not None:
            once = f"{Notice.LAW_DISCLOSED}:{case_id}"
            messages.send(space_id, Notice.LAW_DISCLOSED, Group.BY_LAW, now, about=case_id, once=once)


def _line(kept: dict[str, Any]) -> dict[str, Any]:
    """The columns again, each in its type; every line names all of them, so that one statement writes them."""
    return {column.name: _value(column.type, kept.get(column.name)) for column in _LINES.columns if not _is_key(column)}


def _is_key(column: Any) -> bool:
    return bool(column.primary_key)


def _value(kind: Any, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(kind, UTCDateTime):
        return dt.datetime.fromisoformat(value)
    return bytes.fromhex(value) if isinstance(kind, LargeBinary) else value
