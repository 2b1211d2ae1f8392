"""The holder's pages with 200 authorizations and 100 000 lines in the log: as many statements as with a few.

The times are printed, not judged: a busy machine is no defect.
"""

import datetime as dt
import time
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import event, insert, text

from consent.records import Consent, ConsentEvent, ConsentVersion
from dataspace.accesses import Access, Outcome
from dataspace.db import db, table_of
from tests import factories
from tests.consent.visitor import Visitor
from tests.factories import World

CONSENTS = 200
LINES = 100_000
PAGES = ("/", "/authorizations", "/authorizations?q=lingnan", "/authorizations?tab=ended", "/reads",
         "/reads?outcome=refused", "/reads?client=bank", "/reads?before=50000")  # fmt: skip


def test_pages_cost_the_same_however_long_the_history(client: FlaskClient, now: dt.datetime) -> None:
    world = factories.world(now)
    visitor = Visitor(client).sign_in(world.person, now)
    fill(world, now, consents=30, lines=100)  # more than one page of each
    paths = (*PAGES, f"/authorizations/{world.consent.consent_id}")
    few = {path: cost(visitor, path)[0] for path in paths}
    fill(world, now, consents=CONSENTS - 30, lines=LINES - 100)
    if db.engine.dialect.name == "postgresql":
        db.session.execute(text("ANALYZE"))
        db.session.commit()
    for path in paths:
        statements, seconds = cost(visitor, path)
        print(f"{path.partition('cns_')[0]}: {statements} statements, {seconds * 1000:.0f} ms")
        assert statements == few[path], path
        assert statements <= 21, path


def cost(visitor: Visitor, path: str) -> tuple[int, float]:
    """How many statements a page takes, and how long (in seconds)."""
    seen: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    visitor.send("GET", path)  # compiled once
    event.listen(db.engine, "before_cursor_execute", note)
    begun = time.perf_counter()
    try:
        assert visitor.send("GET", path).status_code == 200
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    return len(seen), time.perf_counter() - begun


def fill(world: World, now: dt.datetime, *, consents: int, lines: int) -> None:
    """Copies of the world's consent, half of them withdrawn, and reads of them over the last 100 days."""
    made = [_copy(world, n) for n in range(consents)]
    db.session.flush()
    _add_lines(world, now, [consent.consent_id for consent in made], lines)
    db.session.commit()


_made = iter(range(10**9))


def _copy(world: World, n: int) -> Consent:
    number = next(_made)
    values = _values(world.consent) | {"consent_id": f"cns_copy{number:020}"}
    values["created_at"] = world.consent.created_at - dt.timedelta(minutes=number)
    values["state"] = "withdrawn" if n % 2 else "active"
    consent = Consent(**values)
    db.session.add(consent)
    for model in (ConsentVersion, ConsentEvent):
        for row in db.session.query(model).filter_by(consent_id=world.consent.consent_id):
            copied = _values(row) | {"consent_id": consent.consent_id}
            copied.pop("event_id", None)
            db.session.add(model(**copied))
    return consent


def _add_lines(world: World, now: dt.datetime, consent_ids: list[str], lines: int) -> None:
    step = dt.timedelta(days=100) / lines
    head = {
        "space_id": world.consent.space_id, "consent_version": 1, "client_id": "bank", "recipient": "岭南示例银行",
        "purpose": "审核本次贷款申请", "reference_no": "LN-2026-0001", "item_ids": ["p.edu.degree"], "action": "read",
    }  # fmt: skip
    rows = [
        head
        | {
            "at": now - step * (lines - n),
            "consent_id": consent_ids[n % len(consent_ids)],
            "outcome": Outcome.REFUSED if n % 10 == 0 else Outcome.ANSWERED,
            "reason": "item_not_granted" if n % 10 == 0 else None,
        }
        for n in range(lines)
    ]
    for at in range(0, lines, 10_000):
        db.session.execute(insert(table_of(Access)), rows[at : at + 10_000])


def _values(row: Any) -> dict[str, Any]:
    return {column.key: getattr(row, column.key) for column in row.__mapper__.column_attrs}
