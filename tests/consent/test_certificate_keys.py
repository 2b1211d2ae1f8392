"""What a certificate says opens under a key of its own, which goes with its record, its space and its time."""

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import stamp, upgrade

from consent import certificate_issue, data_certificates, presentations, record_erasures, worker
from consent.data_certificates import DataCertificate, Step
from consent.interventions import Ground, Stated
from dataspace import clock, jose
from dataspace.db import db
from dataspace.sealing import Unreadable, seal, unseal
from dataspace.spaces import Record
from dataspace.vault import PartKey, Vault
from dataspace.web.shell import services
from dataspace.wrapping import Keys, WrappingKey
from tests import factories
from tests.consent import certificate_reader as reader
from tests.consent.certificate_bank import Bank, make_bank
from tests.consent.visitor import Visitor

REASON = Stated(Ground.AUTHORITY_DECISION, "Court order 7")
DEGREE, HOME = "p.edu.degree", "p.energy.home"


@pytest.fixture
def bank(client: FlaskClient) -> Bank:
    return make_bank(client)


def vault() -> Vault:
    return services().vault


def certificate(certificate_id: str) -> DataCertificate:
    db.session.rollback()
    return db.session.get_one(DataCertificate, certificate_id)


def says(certificate_id: str) -> dict[str, Any]:
    """What it says, opened anew."""
    places = data_certificates.content(certificate(certificate_id), vault=vault()).places
    return {name: shown.value for name, shown in places["data"].items()}


def made(bank: Bank, item: str) -> DataCertificate:
    """One that its holder has had made."""
    found = certificate_issue.for_holder(
        bank.consent.consent_id, item, bank.holder, clock.now(), registry=factories.registry()
    ).certificate
    db.session.commit()
    return found


def link(row: DataCertificate, bank: Bank) -> str:
    """The path of a link that shows the school."""
    secret = presentations.present(
        row.certificate_id, "示例律师事务所", {"data": ["school"]}, dt.timedelta(hours=1), bank.holder, clock.now(),
        vault=vault(),
    )  # fmt: skip
    db.session.commit()
    return f"/presented/{secret}"


def keys_left(space_id: str) -> list[bytes]:
    parts = db.session.scalars(sa.select(PartKey.part_id).order_by(PartKey.part_id)).all()
    return [vault().key(space_id), vault().records_key(space_id), *(vault().part_key(part) for part in parts)]


def test_with_its_record_it_goes_for_everybody_and_from_backups(bank: Bank, app: Flask, client: FlaskClient) -> None:
    gone, theirs, stays = made(bank, DEGREE), bank.makes(DEGREE)["certificate_id"], made(bank, HOME).certificate_id
    claims = data_certificates.content(gone, vault=vault()).unverified
    receiver, opened, waiting = Visitor(app.test_client()), link(gone, bank), link(gone, bank)
    receiver.get(opened)
    assert "示例大学" in receiver.tap("Open it").says
    number, space_id, record_id = gone.certificate_id, gone.space_id, gone.record_id
    assert record_id is not None
    backup = {which: certificate(which).sealed for which in (number, theirs)}
    words = ["records", "erase", record_id, "--ground", "authority_decision", "--text", "Court order 7", "--yes"]
    done = app.test_cli_runner().invoke(args=words)
    assert done.exit_code == 0, done.output
    db.session.rollback()
    for which, sealed in backup.items():
        assert sealed is not None
        db.session.execute(sa.update(DataCertificate).filter_by(certificate_id=which).values(sealed=sealed))
        db.session.commit()
        with pytest.raises(Unreadable):
            says(which)
        for key in keys_left(space_id):
            with pytest.raises(Unreadable):
                unseal(key, sealed, identity=which)
    assert certificate(number).stage == certificate(theirs).stage == "revoked"
    assert reader.status_of(client, claims) == reader.INVALID
    assert (receiver.get(opened).status, "can no longer be read" in receiver.page.says) == (410, True)
    assert receiver.send("GET", f"{opened}/certificate.sd-jwt").status_code == 410
    receiver.get(waiting)
    assert receiver.tap("Open it").status == 409
    holder = Visitor(app.test_client()).sign_in(
        db.session.get_one(factories.Holder, bank.holder.holder_id), clock.now()
    )
    page = holder.get(f"/certificates/{number}")
    assert "What it said was destroyed" in page.says
    assert "示例大学" not in page.html
    assert not page.offers("Save the file")
    assert holder.send("GET", f"/certificates/{number}/certificate.sd-jwt").status_code == 410
    assert "What it said" not in holder.get(f"/certificates/{stays}").says
    assert says(stays) == {"month": ["2026-08", "2026-09"], "kwh": [120, 131]}


def test_the_same_by_the_function_also_for_what_has_ended(bank: Bank) -> None:
    row, other = made(bank, DEGREE), made(bank, HOME)
    number, stays, record_id, now = row.certificate_id, other.certificate_id, row.record_id, clock.now()
    assert record_id is not None
    data_certificates.append(number, Step.REVOKED, now, by=data_certificates.By.HOLDER, vault=vault())
    db.session.commit()
    record = record_erasures.erase(record_id, REASON, now, actor_id="hld_clerk", vault=vault())
    db.session.commit()
    assert (record.erased_at, certificate(number).sealed) == (now, None)
    assert db.session.scalars(sa.select(PartKey.part_id)).all() == [stays]
    with pytest.raises(certificate_issue.NotCertifiable):
        made(bank, DEGREE)
    assert db.session.scalars(sa.select(Record.record_id).filter_by(erased_at=None)).one() == other.record_id


def test_with_its_space_and_with_its_time_its_key_goes(bank: Bank) -> None:
    first, second, now = made(bank, DEGREE), made(bank, HOME), clock.now()
    number, later = first.certificate_id, second.certificate_id
    over = first.expires_at + data_certificates.CONTENT_KEPT
    db.session.execute(
        sa.update(DataCertificate).filter_by(certificate_id=later).values(emptied_after=over + dt.timedelta(days=1))
    )
    db.session.commit()
    assert worker.run_once(over, registry=factories.registry())["certificate_contents"] == 1
    with pytest.raises(Unreadable):
        says(number)
    assert says(later)
    vault().destroy_key(second.space_id, now)
    db.session.commit()
    assert db.session.scalars(sa.select(PartKey)).all() == []
    with pytest.raises(Unreadable):
        says(later)


def test_another_wrapping_key_wraps_them_too(bank: Bank, app: Flask) -> None:
    number = made(bank, DEGREE).certificate_id
    old, new = WrappingKey(b"w" * 32), WrappingKey(b"x" * 32)
    vault().keys = Keys([new, old])
    done = app.test_cli_runner().invoke(args=["wrapping-keys", "rewrap"])
    assert done.exit_code == 0, done.output
    vault().keys = Keys([new])
    assert says(number)["school"] == "示例大学"


def test_what_lay_under_the_key_of_the_space_is_sealed_anew_by_the_upgrade(bank: Bank) -> None:
    row, empty = made(bank, DEGREE), made(bank, HOME)
    number, space_id = row.certificate_id, row.space_id
    assert row.sealed is not None
    plain = unseal(vault().part_key(number), row.sealed, identity=number)
    row.sealed, empty.sealed = seal(vault().key(space_id), plain, identity=number), None
    db.session.commit()
    db.session.execute(sa.text("DROP TABLE part_keys"))
    db.session.commit()
    stamp(directory="migrations", revision="20261126_comparisons")
    upgrade(directory="migrations", revision="20261126_part_keys")
    assert says(number)["school"] == "示例大学"
    with pytest.raises(Unreadable):
        unseal(vault().key(space_id), certificate(number).sealed or b"", identity=number)
    assert db.session.scalars(sa.select(PartKey.part_id)).all() == [number]
    assert jose.read(data_certificates.content(certificate(number), vault=vault()).signed)
