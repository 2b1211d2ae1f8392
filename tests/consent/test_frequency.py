"""How often a consent may be read in one day, week, month, quarter, year; and in all."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from consent import endings
from consent.records import Consent
from dataspace import accesses
from dataspace.accesses import Access, FrequencyExceeded, QuotaExhausted
from dataspace.db import db
from dataspace.frequency import Frequency
from dataspace.permission import Permission
from tests import factories
from tests.consent.third_party import ThirdParty, tokens_for
from tests.consent.visitor import Visitor

DAY = dt.timedelta(days=1)
NOON = dt.datetime(2026, 11, 25, 4, 0, tzinfo=dt.UTC)  # a Wednesday, noon in China


@pytest.mark.parametrize(
    ("unit", "at", "start", "end"),
    [
        ("day", "2026-11-25T15:59:59", "2026-11-25", "2026-11-26"),
        ("day", "2026-11-25T16:00:00", "2026-11-26", "2026-11-27"),
        ("week", "2026-11-25T04:00:00", "2026-11-23", "2026-11-30"),
        ("month", "2026-12-31T15:59:59", "2026-12-01", "2027-01-01"),
        ("month", "2026-12-31T16:00:00", "2027-01-01", "2027-02-01"),
        ("quarter", "2026-11-25T04:00:00", "2026-10-01", "2027-01-01"),
        ("quarter", "2027-03-31T15:00:00", "2027-01-01", "2027-04-01"),
        ("year", "2028-02-29T04:00:00", "2028-01-01", "2029-01-01"),
    ],
)
def test_a_window_is_one_of_the_calendar_in_china(unit: str, at: str, start: str, end: str) -> None:
    window = Frequency(n=1, unit=unit).window(dt.datetime.fromisoformat(f"{at}+00:00"))
    assert [w.isoformat() for w in (window.start + 8 * dt.timedelta(hours=1), window.end + dt.timedelta(hours=8))] == [
        f"{start}T00:00:00+00:00", f"{end}T00:00:00+00:00",
    ]  # fmt: skip


def test_another_unit_is_none() -> None:
    with pytest.raises(ValueError, match="hour"):
        Frequency(n=1, unit="hour").window(NOON)


def permission(n: int = 2, unit: str = "day", *, consent_id: str = "cns_1", max_reads: int | None = None) -> Permission:
    return Permission(
        client_id="bank", recipient="岭南示例银行", consent_id=consent_id, consent_version=1, space_id="spc_1",
        purpose="审核", reference_no=None, items=(), max_reads=max_reads, frequency=Frequency(n=n, unit=unit),
        auth_time=NOON, acr="",
    )  # fmt: skip


def read(at: dt.datetime, **of: int | str | None) -> None:
    accesses.record_answered(permission(**of), [], at)  # type: ignore[arg-type]


def test_reads_of_a_day_are_counted_and_the_next_day_begins_anew(app: Flask) -> None:
    read(NOON)
    read(NOON)
    with pytest.raises(FrequencyExceeded) as refused:
        read(NOON + 11 * dt.timedelta(hours=1))
    assert refused.value.until == NOON + 12 * dt.timedelta(hours=1)
    read(NOON + 12 * dt.timedelta(hours=1))
    read(NOON, consent_id="cns_2")


def test_a_clock_that_goes_backwards_opens_no_day_anew(app: Flask) -> None:
    read(NOON)
    read(NOON)
    with pytest.raises(FrequencyExceeded) as refused:
        read(NOON - 3 * DAY)
    assert refused.value.until == NOON + 12 * dt.timedelta(hours=1)


def test_both_limits_hold(app: Flask) -> None:
    read(NOON, max_reads=3)
    read(NOON, max_reads=3)
    with pytest.raises(FrequencyExceeded):
        read(NOON, max_reads=3)
    read(NOON + DAY, max_reads=3)
    with pytest.raises(QuotaExhausted):
        read(NOON + 2 * DAY, max_reads=3)
    numbered = db.session.execute(select(Access.read_no, Access.window_no).order_by(Access.access_id)).all()
    assert [tuple(row) for row in numbered] == [(1, 1), (2, 2), (3, 1)]


def test_of_many_reads_at_once_as_many_are_answered_as_are_left(app: Flask) -> None:
    def one(_n: int) -> bool:
        with app.app_context():
            try:
                read(NOON, n=3)
                db.session.commit()
            except FrequencyExceeded:
                return False
            return True

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(one, range(10))) == [False] * 7 + [True] * 3


def test_the_client_hears_when_it_may_read_again_and_the_holder_sees_the_attempt(
    client: FlaskClient, now: dt.datetime
) -> None:
    world = factories.world(now, frequency={"n": 1, "unit": "year"})
    bank = ThirdParty(world.party, client)
    token = tokens_for(bank, world.actor)["access_token"]
    assert bank.read(token).status_code == 200
    refused = bank.read(token)
    assert (refused.status_code, refused.json["code"]) == (403, "frequency_exceeded")
    again = Frequency(n=1, unit="year").window(now).end
    assert refused.json["until"] == again.isoformat().replace("+00:00", "Z")
    assert bank.introspect(token).json["active"]  # the consent goes on
    visitor = Visitor(client.application.test_client()).sign_in(world.person, now)
    assert "It wanted to read more often than was allowed." in visitor.get("/reads").says


def test_what_is_for_one_time_is_read_once_and_closed_by_it(client: FlaskClient, now: dt.datetime) -> None:
    world = factories.world(now, mode="one_time")
    bank = ThirdParty(world.party, client)
    body = tokens_for(bank, world.actor)
    assert bank.read(body["access_token"]).status_code == 200
    assert bank.read(body["access_token"]).json["code"] == "quota_exhausted"
    endings.sweep(now, registry=factories.registry())
    db.session.commit()
    assert db.session.scalar(select(Consent.state).filter_by(consent_id=body["grant_id"])) == "exhausted"
