"""Items with many rows, page by page: one read, one version, a line and a signature for each page."""

import datetime as dt
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from consent import clients, endings, worker
from consent.records import Consent
from dataspace import accesses, clock, record_erasure, spaces, walks
from dataspace.accesses import Access, Outcome
from dataspace.catalogue import DataItem
from dataspace.db import db
from dataspace.spaces import Record
from dataspace.walks import Cursors, InvalidCursor, Walk
from dataspace.web.shell import services
from tests import factories
from tests.consent.third_party import ThirdParty, proof_key, tokens_for

PATH = "/api/v1/data/p.account.movements"
FIELDS = ("month", "amount")
ROWS = [{"month": f"2025-{n % 12 + 1:02}", "amount": n} for n in range(25)]


@pytest.fixture
def movements(app: Flask) -> DataItem:
    item = factories.item(clock.now(), "p.account.movements", FIELDS)
    item.cardinality, item.period_field = "many", None
    return item


@pytest.fixture
def bank(movements: DataItem, client: FlaskClient) -> ThirdParty:
    now = clock.now()
    person = factories.holder(now)
    factories.record(person, movements, ROWS, now)
    bank = ThirdParty(factories.party(now), client)
    factories.purpose(now, required=[movements], max_reads=1, mode="one_time")
    db.session.commit()
    return bank


@pytest.fixture
def token(bank: ThirdParty) -> str:
    person = db.session.scalars(select(factories.Holder)).one()
    return str(tokens_for(bank, factories.actor(person, clock.now()))["access_token"])


def get(bank: ThirdParty, token: str, address: str, **headers: str) -> Any:
    """A GET with a proof, which is for the address without its query."""
    proof = bank.proof("GET", address.partition("?")[0], access_token=token)
    return bank.http.get(address, headers={"Authorization": f"DPoP {token}", "DPoP": proof} | headers)


def following(answer: Any) -> str:
    """The address of the next page (RFC 8288)."""
    address, _, relation = answer.headers["Link"].partition("; ")
    assert relation == 'rel="next"'
    return str(address[1:-1])


def lines() -> list[Access]:
    return list(db.session.scalars(select(Access).order_by(Access.access_id)))


def test_a_walk_is_one_read_of_one_version(bank: ThirdParty, token: str, movements: DataItem) -> None:
    """The consent allows one read; its source brings a newer version while the walk goes on, and the sweep comes."""
    first = get(bank, token, f"{PATH}?limit=10&case_no=LN-7")
    (item,) = first.json["items"]
    assert item["rows"] == ROWS[:10]
    begun = first.json["delivery_id"]
    assert item["page"] == {"from": 1, "to": 10, "of": 25, "first_delivery_id": begun}
    person = db.session.scalars(select(factories.Holder)).one()
    spaces.deposit(person, movements, ROWS[:3], as_of=clock.now(), now=clock.now(), vault=services().vault)
    db.session.commit()
    assert get(bank, token, f"{PATH}?limit=10").json["code"] == "quota_exhausted"
    worker.run_once(clock.now(), registry=factories.registry())
    assert db.session.scalar(select(Consent.state)) == "exhausted"
    seen, answer = list(item["rows"]), first
    while "Link" in answer.headers:
        address = following(answer)
        assert "case_no=LN-7" in address
        answer = get(bank, token, address)
        assert answer.status_code == 200, answer.json
        seen += answer.json["items"][0]["rows"]
    assert seen == ROWS
    assert answer.json["items"][0]["page"] == {"from": 21, "to": 25, "of": 25, "first_delivery_id": begun}
    told = [(line.outcome, line.continues, line.reference_no) for line in lines() if line.outcome == Outcome.ANSWERED]
    assert told == [(Outcome.ANSWERED, None, "LN-7")] + [(Outcome.ANSWERED, begun, "LN-7")] * 2
    (consent_id,) = {line.consent_id for line in lines()}
    assert accesses.answered(consent_id) == 1
    assert accesses.usage([consent_id], clock.now())[consent_id].reads_30_days == 1
    assert all(accesses.entry_of(line) for line in lines())


def test_each_page_has_its_tag_and_is_signed_when_asked_for(bank: ThirdParty, token: str) -> None:
    first = get(bank, token, f"{PATH}?limit=20")
    address = following(first)
    second = get(bank, token, address)
    assert first.headers["ETag"] != second.headers["ETag"]
    unchanged = get(bank, token, address, **{"If-None-Match": second.headers["ETag"]})
    assert (unchanged.status_code, unchanged.data) == (304, b"")
    signed = get(bank, token, address, Accept="application/jwt")
    assert (signed.status_code, signed.mimetype) == (200, "application/jwt")
    assert [line.continues for line in lines()] == [None] + [first.json["delivery_id"]] * 3


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("withdraw", "consent_withdrawn"),
        ("suspend", "client_suspended"),
        ("another version", "invalid_cursor"),
        ("erase", "invalid_cursor"),
        ("late", "invalid_cursor"),
    ],
)
def test_what_ends_a_consent_ends_a_walk(bank: ThirdParty, token: str, change: str, code: str) -> None:
    address, now = following(get(bank, token, f"{PATH}?limit=10")), clock.now()
    consent = db.session.scalars(select(Consent)).one()
    person = db.session.get_one(factories.Holder, consent.holder_id)
    if change == "withdraw":
        by = factories.actor(person, now)
        endings.withdraw(consent.consent_id, by, now, registry=factories.registry())
    elif change == "suspend":
        clients.suspend("bank", now, actor_id="adm", reason_code="complaint", text="")
    elif change == "another version":
        address = altered(address, basis=["consent", consent.consent_id, "2"])
    elif change == "erase":
        record_erasure.erase(db.session.scalars(select(Record.record_id)).one(), now, vault=services().vault)
    else:
        address = altered(address, until=int(now.timestamp()))
    db.session.commit()
    assert get(bank, token, address).json["code"] == code


def cursors() -> Cursors:
    return Cursors(services().settings.secret_key)


def altered(address: str, **changes: Any) -> str:
    """The same address with a cursor that only we could make."""
    path, _, cursor = address.partition("?cursor=")
    read = cursors().read(cursor, clock.now())
    return f"{path}?cursor={cursors().of(Walk(**(vars(read) | changes)))}"


def test_a_cursor_is_good_for_its_own_read_only(bank: ThirdParty, token: str) -> None:
    address = following(get(bank, token, f"{PATH}?limit=10"))
    for changes in ({"item_id": "p.other"}, {"client_id": "shop"}, {"basis": ["consent", "cns_1", "1"]}):
        assert get(bank, token, altered(address, **changes)).json["code"] == "invalid_cursor"
    # Nobody else gets further with it, whoever has seen the address.
    strangers = bank.proof("GET", PATH, access_token=token, key=proof_key())
    answer = bank.http.get(address, headers={"Authorization": f"DPoP {token}", "DPoP": strangers})
    assert answer.json["code"] == "invalid_dpop_proof"
    assert sum(line.outcome == Outcome.ANSWERED for line in lines()) == 1


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("?limit=0", "invalid_request"),
        ("?limit=1001", "invalid_request"),
        ("?limit=-1", "invalid_request"),
        ("?limit=ten", "invalid_request"),
        ("?limit=", "invalid_request"),
        ("?limit=%D9%A1", "invalid_request"),
        ("?limit=5&limit=5", "invalid_request"),
        ("?limit=5&cursor=x", "invalid_request"),
        ("?cursor=", "invalid_cursor"),
        ("?cursor=x", "invalid_cursor"),
        ("?cursor=" + "A" * 400, "invalid_cursor"),
        ("?cursor=" + "A" * 2000, "invalid_cursor"),
    ],
)
def test_a_page_that_cannot_have_been_meant_uses_nothing_up(
    bank: ThirdParty, token: str, query: str, code: str
) -> None:
    assert get(bank, token, PATH + query).json["code"] == code
    for query in ("?limit=5", "?cursor=x"):
        assert get(bank, token, "/api/v1/data" + query).json["code"] == "invalid_request"
    assert [(line.outcome, line.reason) for line in lines()] == [
        ("refused", reason) for reason in (code, "invalid_request", "invalid_request")
    ]


def test_an_item_of_one_row_and_one_that_is_missing_are_one_page(bank: ThirdParty, token: str) -> None:
    db.session.execute(update(Record).values(superseded_at=clock.now()))
    db.session.commit()
    answer = get(bank, token, f"{PATH}?limit=10")
    assert (answer.json["items"][0]["status"], "Link" in answer.headers) == ("missing", False)


def test_a_limit_that_holds_everything_needs_no_second_page(bank: ThirdParty, token: str) -> None:
    answer = get(bank, token, f"{PATH}?limit=25")
    assert (answer.json["items"][0]["rows"], "Link" in answer.headers) == (ROWS, False)


@given(st.binary(max_size=300) | st.text(max_size=300))
def test_reading_a_cursor_promises_one_family_of_errors(garbage: bytes | str) -> None:
    text = garbage if isinstance(garbage, str) else walks.jwk.b64encode(garbage)
    with pytest.raises(InvalidCursor):
        Cursors("s" * 43).read(text, dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
