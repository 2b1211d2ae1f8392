"""Records: sealed, versioned, and read only under a permission, with a row in the access log for each read."""

import datetime as dt

import pytest
from flask import Flask
from sqlalchemy import select, update

from dataspace import accesses, delivery, extracts, spaces, vault
from dataspace.accesses import Access, QuotaExhausted
from dataspace.catalogue import DataItem
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.permission import GrantedItem, Permission, ReadRefused
from dataspace.sealing import Unreadable
from dataspace.spaces import Record
from dataspace.vault import DataKey
from dataspace.web.shell import services
from dataspace.wrapping import Keys, WrappingKey
from tests import factories


def permission(owner: Holder, *granted: GrantedItem, max_reads: int | None = None) -> Permission:
    return Permission(
        client_id="bank", recipient="岭南示例银行", consent_id="cns_1", consent_version=1, space_id=owner.space_id,
        purpose="审核", reference_no="LN-1", items=granted, max_reads=max_reads,
        auth_time=owner.created_at, acr="urn:dataspace:acr:passkey",
    )  # fmt: skip


def grant(of: DataItem, *fields: str, period: tuple[str, str] | None = None) -> GrantedItem:
    first, last = period or (None, None)
    return GrantedItem(item_id=of.item_id, item_version=of.version, fields=fields, period_from=first, period_to=last)


@pytest.fixture
def owner(app: Flask, now: dt.datetime) -> Holder:
    return factories.holder(now)


def rows() -> list[Access]:
    return list(db.session.scalars(select(Access).order_by(Access.access_id)))


def test_only_granted_fields_leave_and_withheld_is_told_from_empty(owner: Holder, now: dt.datetime) -> None:
    degree = factories.item(now)
    factories.record(owner, degree, [{"school": "示例大学", "major": None, "level": "本科"}], now)
    read = extracts.read(permission(owner, grant(degree, "school", "major")), None, now, vault=services().vault)
    body = delivery.envelope(read)["items"][0]
    assert body["fields"] == {"school": "示例大学", "major": None}
    assert body["withheld"] == ["level"]
    assert body["empty"] == ["major"]
    assert body["source"]["authority"]["zh_hans"] == "示例机关"
    assert body["as_of"].endswith("Z")


def test_a_period_cuts_the_rows(owner: Holder, now: dt.datetime) -> None:
    power = factories.item(now, "e.energy.power", ("month", "kwh"), many=True, period_field="month")
    factories.record(owner, power, [{"month": f"2026-{m:02d}", "kwh": m} for m in range(1, 11)], now)
    read = extracts.read(
        permission(owner, grant(power, "month", "kwh", period=("2026-03", "2026-05"))), None, now,
        vault=services().vault,
    )  # fmt: skip
    assert [r["month"] for r in delivery.envelope(read)["items"][0]["rows"]] == ["2026-03", "2026-04", "2026-05"]


def test_an_aggregate_over_too_few_stays(owner: Holder, now: dt.datetime) -> None:
    """As the catalogue says today, of records from before as well; also where the number itself was not granted."""
    payroll = factories.item(now, "e.hr.payroll_agg", ("quarter", "total", "n"), many=True, period_field="quarter")
    rows = [{"quarter": f"2026-Q{q}", "total": q, "n": n} for q, n in ((1, 5), (2, 4), (3, None))]
    factories.record(owner, payroll, rows, now)
    columns = {c.name: getattr(payroll, c.name) for c in DataItem.__table__.columns}
    fields = [*payroll.fields[:2], payroll.fields[2] | {"min_group": 5}]
    db.session.add(DataItem(**(columns | {"version": 2, "digest": "2" * 64, "fields": fields})))
    db.session.flush()
    read = extracts.read(permission(owner, grant(payroll, "quarter", "total")), None, now, vault=services().vault)
    (item,) = delivery.envelope(read)["items"]
    assert (item["rows"], item["suppressed"]) == ([{"quarter": "2026-Q1", "total": 1}], 2)


def test_what_the_space_does_not_hold_is_missing_not_withheld(owner: Holder, now: dt.datetime) -> None:
    """It is named and described by the version of the catalogue that was granted."""
    degree = factories.item(now)
    read = extracts.read(permission(owner, grant(degree, "school")), None, now, vault=services().vault)
    assert delivery.envelope(read)["items"] == [
        {
            "item": degree.item_id, "item_version": 1, "schema": f"/api/v1/items/{degree.item_id}/1/schema.json",
            "delivery": "raw", "status": "missing", "source": {"authority": degree.authority, "system": degree.system},
            "as_of": None, "period": None, "withheld": ["major", "level"], "empty": ["school"],
            "classification": {"rule_set": degree.rule_set, "class": degree.pi_class, "level": degree.level},
        }
    ]  # fmt: skip


def test_each_answered_read_has_its_row(owner: Holder, now: dt.datetime) -> None:
    degree = factories.item(now)
    factories.record(owner, degree, [{"school": "示例大学"}], now)
    read = extracts.read(permission(owner, grant(degree, "school")), None, now, vault=services().vault)
    (row,) = rows()
    assert (row.outcome, row.item_ids, row.delivery_id) == ("answered", ["p.edu.degree"], read.delivery_id)
    assert "示例大学" not in str(row.__dict__)


def test_an_item_that_was_not_granted_is_refused(owner: Holder, now: dt.datetime) -> None:
    degree = factories.item(now)
    with pytest.raises(ReadRefused) as refused:
        extracts.read(permission(owner, grant(degree, "school")), ["p.tax.income"], now, vault=services().vault)
    assert refused.value.reason == "item_not_granted"
    assert refused.value.permission is not None


def test_a_limited_consent_is_read_as_often_as_it_says(owner: Holder, now: dt.datetime) -> None:
    limited = permission(owner, grant(factories.item(now), "school"), max_reads=2)
    for _ in range(2):
        extracts.read(limited, None, now, vault=services().vault)
    with pytest.raises(QuotaExhausted):
        extracts.read(limited, None, now, vault=services().vault)
    assert [r.read_no for r in rows()] == [1, 2]
    assert accesses.answered("cns_1") == 2


def test_records_are_versions_and_the_same_content_is_no_new_one(owner: Holder, now: dt.datetime) -> None:
    degree = factories.item(now)
    first = factories.record(owner, degree, [{"school": "甲"}], now)
    assert factories.record(owner, degree, [{"school": "甲"}], now).record_id == first.record_id
    second = factories.record(owner, degree, [{"school": "乙"}], now)
    assert (second.version, first.digest != second.digest) == (2, True)
    db.session.refresh(first)
    assert first.superseded_at == now
    assert db.session.scalar(select(Record.version).filter_by(superseded_at=None)) == 2


def test_a_record_is_stored_encrypted_and_bound_to_its_identity(owner: Holder, now: dt.datetime) -> None:
    degree = factories.item(now)
    one = factories.record(owner, degree, [{"school": "示例大学"}], now)
    other = factories.record(owner, factories.item(now, "p.work.qualification", ("name",)), [{"name": "会计"}], now)
    assert "示例大学".encode() not in one.sealed
    db.session.execute(update(Record).filter_by(record_id=other.record_id).values(sealed=one.sealed))
    db.session.refresh(other)
    with pytest.raises(Unreadable):
        spaces.open_rows(other, services().vault.key(owner.space_id))


def test_destroying_the_key_makes_everything_unreadable(owner: Holder, now: dt.datetime) -> None:
    degree = factories.item(now)
    factories.record(owner, degree, [{"school": "示例大学"}], now)
    db.session.execute(update(DataKey).values(wrapped=None, destroyed_at=now))
    with pytest.raises(ReadRefused) as refused:
        extracts.read(permission(owner, grant(degree, "school")), None, now, vault=services().vault)
    assert refused.value.reason == "data_erased"


def test_another_wrapping_key_opens_nothing(owner: Holder, now: dt.datetime) -> None:
    with pytest.raises(Unreadable):
        vault.Vault(Keys([WrappingKey(b"x" * 32)])).key(owner.space_id)


def test_the_log_pages_by_key(owner: Holder, now: dt.datetime) -> None:
    granted = permission(owner, grant(factories.item(now), "school"))
    for n in range(5):
        extracts.read(granted, None, now + dt.timedelta(seconds=n), vault=services().vault)
    first = accesses.log_of(owner.space_id, size=3)
    second = accesses.log_of(owner.space_id, size=3, before=first.older)
    assert [len(first.rows), len(second.rows), second.older] == [3, 2, None]
    assert accesses.log_of("spc_other").rows == []


def test_usage_counts_the_last_thirty_days(owner: Holder, now: dt.datetime) -> None:
    granted = permission(owner, grant(factories.item(now), "school"))
    for days in (40, 3, 1):
        extracts.read(granted, None, now - dt.timedelta(days=days), vault=services().vault)
    found = accesses.usage(["cns_1", "cns_2"], now)
    assert found["cns_1"].reads_30_days == 2
    assert found["cns_1"].last_read_at == now - dt.timedelta(days=1)
    assert "cns_2" not in found
