"""Nothing grows for ever: every table is either history, or named here with the sweep that empties it."""

import datetime as dt
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask

from consent import announcements, presentations, status_lists, worker
from consent.data_certificates import DataCertificate
from consent.oauth import initial_access, sessions, tokens
from consent.powers import Power
from dataspace import mail, messages, passkeys, signins
from dataspace.by_law import LawCase
from dataspace.db import UTCDateTime, db
from dataspace.sources import quality
from tests import factories

NONE = dt.timedelta(0)
SECOND = dt.timedelta(seconds=1)


@dataclass(frozen=True)
class Swept:
    """``sweep`` removes a row when ``after`` its ``clock`` column."""

    sweep: str
    after: dt.timedelta
    clock: str = "expires_at"


SWEPT = {
    "announcements": Swept("announcements", announcements.KEPT, "created_at"),
    "archives": Swept("archives", NONE),
    "authorization_codes": Swept("tokens", tokens.REMEMBERED),
    "authorization_requests": Swept("requests", NONE),
    "ceremonies": Swept("ceremonies", NONE),
    "client_sessions": Swept("sessions", NONE),
    "enrolment_codes": Swept("enrolment_codes", passkeys.CODE_KEPT),
    "initial_access_tokens": Swept("initial_access", initial_access.KEPT),
    "mails": Swept("mails", mail.KEPT, "created_at"),
    "messages": Swept("messages", messages.KEPT, "at"),
    "logout_notices": Swept("logout_notices", sessions.NOTICES_KEPT, "created_at"),
    "presentations": Swept("presentations", presentations.KEPT),
    "person_codes": Swept("person_codes", NONE),
    "seen_jtis": Swept("replay", NONE),
    "signins": Swept("signins", signins.KEPT),
    "source_days": Swept("source_days", quality.DAYS_KEPT, "day"),
    "source_rejections": Swept("source_rejections", quality.REJECTIONS_KEPT, "at"),
    "statutory_tokens": Swept("statutory_tokens", tokens.REMEMBERED),
    "tokens": Swept("tokens", tokens.REMEMBERED),
}
# Kept, and why. What is here grows with people, clients and what they do, not with time that passes.
KEPT = {
    "accesses": "history: who read what",
    "archive_pieces": "gone with their archive",
    "case_events": "history: what was demanded and answered",
    "cases": "history: what was demanded",
    "certificate_steps": "history: the lives of certificates",
    "client_events": "history",
    "client_logos": "one a client, gone with its address or the client",
    "clients": "the registry",
    "purpose_templates": "history: of every rule set",
    "rule_books": "history: the rules under which was asked",
    "rules": "history: of every rule set",
    "consent_events": "history",
    "consent_notices": "history: what was shown",
    "consent_versions": "history: what was agreed",
    "consents": "history; the sweep of this name writes down their ends",
    "corrections": "history: which version of a record was wrong",
    "deferred_accesses": "moved into the log of accesses by the sweep 'disclosures' when their time has come",
    "deletions": "history: who had to delete, and has",
    "data_certificates": "history: the sweep 'certificate_contents' destroys what they say, a year after their end",
    "data_items": "the catalogue, by version",
    "data_keys": "one a space",
    "part_keys": "one a certificate or package, until what it says is destroyed",
    "deaths": "history: whose space was closed, and why",
    "evidence_logs": "one row",
    "evidence_positions": "history: where the proof of something is",
    "evidence_tiles": "history: what could be proven must stay so",
    "evidence_witnesses": "one a witness",
    "evidence_waiting": "goes into the log within a second",
    "erasures": "history: who wanted a whole space deleted, and what became of it",
    "holder_roles": "who may do what",
    "holders": "the registry",
    "imports": "history: which files were brought in; one row a file",
    "law_cases": "history: what authorities read by law",
    "law_days": "history: how often; one row a power and day on which it was used",
    "mail_addresses": "one a space",
    "measured_times": "a few rows for each kind of duration",
    "mandates": "history: who could act for whom",
    "operator_events": "history",
    "passkeys": "removed by their person",
    "powers": "history: what authorities may read by law",
    "purposes": "the registry",
    "quiet_groups": "a few choices a space",
    "evidence_packages": "history: who has put together what proves a consent",
    "receipts": "history, in the holder's hands",
    "records": "the spaces",
    "resources": "the registry",
    "rule_sets": "the catalogue, by version",
    "server_keys": "what was signed must verify; the sweep 'keys' destroys the private halves",
    "sources": "the registry",
    "status_lists": "small; what was issued must find its status",
    "user_handles": "one a person",
}


def test_every_table_is_history_or_swept() -> None:
    assert set(SWEPT).isdisjoint(KEPT)
    assert sorted([*SWEPT, *KEPT]) == sorted(db.metadata.tables)
    assert {swept.sweep for swept in SWEPT.values()} | {"keys", "disclosures"} == set(worker.SWEEPS)


@pytest.mark.parametrize("name", SWEPT)
def test_what_is_over_goes_and_what_is_alive_stays(name: str, app: Flask, now: dt.datetime) -> None:
    swept = SWEPT[name]
    world = factories.world(now)
    there = count(name)
    add(name, world, now - swept.after, 3)
    add(name, world, now - swept.after + SECOND, 2)
    done = worker.run_once(now, registry=factories.registry())
    assert {sweep: count for sweep, count in done.items() if count and sweep not in worker.ENDED} == {swept.sweep: 3}
    assert count(name) == there + 2
    assert worker.run_once(now + SECOND, registry=factories.registry())[swept.sweep] == 2
    assert count(name) == there


def test_a_client_stays_in_a_sign_in_that_goes_on(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    add("client_sessions", world, now, 1, signin_id="sgn_renewed")
    add("signins", world, now + SECOND, 1, signin_id="sgn_renewed")
    assert worker.run_once(now, registry=factories.registry())["sessions"] == 0
    assert worker.run_once(now + SECOND, registry=factories.registry())["sessions"] == 1


@pytest.mark.parametrize("name", SWEPT)
def test_no_sweep_looks_through_a_whole_table(name: str, app: Flask, now: dt.datetime) -> None:
    if db.engine.dialect.name != "sqlite":
        pytest.skip("plans are read on SQLite; PostgreSQL chooses by size, and these tables are empty")
    swept = SWEPT[name]
    with statements() as sent:
        worker.SWEEPS[swept.sweep](now)
    ((deleting, values),) = [(text, values) for text, values in sent if f"DELETE FROM {name} " in text]
    explained = db.session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {deleting}", values)
    plan = [row[3] for row in explained]
    assert not [line for line in plan if line.startswith("SCAN")], plan
    assert [line for line in plan if f"INDEX ix_{name}_{swept.clock} ({swept.clock}<?)" in line], plan


def test_several_at_once_neither_fail_nor_count_twice(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    stays = {name: count(name) + 2 for name in SWEPT}
    for name, swept in SWEPT.items():
        add(name, world, now - swept.after, 40)
        add(name, world, now + dt.timedelta(hours=1), 2)

    def work() -> dict[str, int]:
        with app.app_context():
            return worker.run_once(now, registry=factories.registry())

    with ThreadPoolExecutor(4) as pool:
        passes = [future.result() for future in [pool.submit(work) for _ in range(4)]]
    # Whoever finds every row of a table taken by another goes on; what is left then is for the next pass.
    passes.append(worker.run_once(now, registry=factories.registry()))
    removed = {sweep: sum(done[sweep] for done in passes) for sweep in worker.SWEEPS}
    assert removed == {sweep: 40 * sum(s.sweep == sweep for s in SWEPT.values()) for sweep in worker.SWEEPS}
    assert {name: count(name) for name in SWEPT} == stays


# Rows, made from the tables themselves, so that a new column needs nothing here


def add(name: str, world: factories.World, moment: dt.datetime, rows: int, **values: Any) -> None:
    """Rows of a table that are over at ``moment``."""
    table = db.metadata.tables[name]
    already = count(name)
    if name == "statutory_tokens":
        _open_case(world, moment)
    if name == "presentations" and db.session.get(DataCertificate, "crt_kept") is None:
        _keep_certificate(world, moment)
    for n in range(already, already + rows):
        found = {
            c.name: _value(c, n, world, moment) for c in table.columns if not (c.nullable or c.autoincrement is True)
        }
        db.session.execute(sa.insert(table).values({k: v for k, v in found.items() if v is not None} | values))
    db.session.commit()


def _open_case(world: factories.World, moment: dt.datetime) -> None:
    """What tokens for reads by law point to."""
    if db.session.get(Power, ("audit", 1)) is None:
        texts: dict[str, Any] = {name: {} for name in ("law", "article", "sentence", "purpose", "objection")}
        db.session.add(
            Power(
                power_id="audit", version=1, client_id="bank", holder_kinds=[], items=[], case_number="#", case_limit=1,
                day_limit=1, valid_from=moment, valid_until=moment, digest="", entered_at=moment, entered_by="",
                **texts,
            )
        )  # fmt: skip
        db.session.add(
            LawCase(
                case_id="law", power_id="audit", power_version=1, client_id="bank", space_id=world.person.space_id,
                case_no="1", reason="", opened_at=moment,
            )
        )  # fmt: skip
        db.session.commit()


def _keep_certificate(world: factories.World, moment: dt.datetime) -> None:
    """What links point to; it has not ended."""
    list_id, index = status_lists.take_place(moment)
    row = DataCertificate(
        certificate_id="crt_kept", space_id=world.person.space_id, consent_id=world.consent.consent_id,
        consent_version=1, client_id="bank", made_by="holder", item_id="p.edu.degree", item_version=1, field_ids=[],
        digest="", list_id=list_id, status_index=index, stage="stored", last_seq=0, uses=0, issued_at=moment,
        expires_at=moment + dt.timedelta(days=400),
    )  # fmt: skip
    db.session.add(row)
    db.session.commit()


def _value(column: sa.Column[Any], n: int, world: factories.World, moment: dt.datetime) -> Any:
    known = {"clients": "bank", "holders": world.person.holder_id, "consents": world.consent.consent_id}
    known |= {"data_keys": world.person.space_id, "law_cases": "law", "data_certificates": "crt_kept"}
    if column.name in ("power_id", "power_version"):
        return {"power_id": "audit", "power_version": 1}[column.name]
    for key in column.foreign_keys:
        return known[key.column.table.name]
    if isinstance(column.type, UTCDateTime):
        return moment
    kind = dict if isinstance(column.type, sa.JSON) else column.type.python_type
    if column.primary_key and kind is int:
        return None  # counts by itself
    return {str: f"{column.name[:20]}-{n}", bytes: f"{n:032}".encode(), dict: {}, bool: False, int: 0}[kind]


def count(name: str) -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(db.metadata.tables[name])) or 0


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    sent: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, text: str, values: Any, *_more: Any) -> None:
        sent.append((re.sub(r"\s+", " ", text), values))

    sa.event.listen(db.engine, "before_cursor_execute", note)
    yield sent
    sa.event.remove(db.engine, "before_cursor_execute", note)


def test_what_was_claimed_is_taken_back_with_its_transaction(app: Flask, now: dt.datetime) -> None:
    """Python's sqlite3 begins no transaction for a statement that begins with WITH."""
    world = factories.world(now)
    add("tokens", world, now - dt.timedelta(days=400), 3)
    db.session.commit()
    there = count("tokens")
    assert worker.SWEEPS["tokens"](now) == 3
    db.session.rollback()
    assert count("tokens") == there
