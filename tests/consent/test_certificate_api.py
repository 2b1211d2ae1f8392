"""Certificates over delivered data, as a client has them made and strangers check them."""

import datetime as dt
import json
import secrets
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient
from jwcrypto.jws import InvalidJWSSignature

from consent import (
    amendments,
    certificate_issue,
    certificate_standing,
    data_certificates,
    endings,
    pauses,
    status_lists,
)
from consent.data_certificates import CertificateStep, DataCertificate
from consent.records import Consent
from dataspace import clock, jose, jwk
from dataspace.accesses import Access
from dataspace.db import db
from tests import factories
from tests.consent import certificate_reader as reader
from tests.consent.certificate_bank import ITEM, PATH, Bank, altered_disclosure, binding, flipped_signature, make_bank
from tests.consent.certificate_reader import SUSPENDED, VALID
from tests.consent.third_party import LEFT_OUT, tokens_for


@pytest.fixture
def bank(app: Flask, client: FlaskClient) -> Bank:
    return make_bank(client)


def test_a_published_library_reads_it_whole(bank: Bank, client: FlaskClient) -> None:
    made = bank.makes()
    said = reader.read(client, made["certificate"])
    header = reader.header_of(made["certificate"])
    assert (header["typ"], header["alg"], said["vct"]) == ("dc+sd-jwt", "ES256", "urn:dataspace:certificate:1")
    assert said["data"] == {"school": "示例大学", "major": "会计"}
    assert said["about"]["subject"] == "陈嘉怡"
    assert said["about"]["recipient"]["en"] == "Lingnan Example Bank"
    assert said["about"]["consent"] == {"id": bank.consent.consent_id, "version": 1}
    assert said["about"]["delivery"] == made["delivery_id"]
    assert said["item"]["source"]["authority"]["en"] == "Example authority"
    assert said["labels"]["school"]["en"] == "Field school"
    assert "level" not in said["labels"]  # there is no value of it
    consent = bank.consent
    assert said["iat"] == pytest.approx(clock.now().timestamp(), abs=60)
    assert said["exp"] == int(consent.expires_at.timestamp())
    assert said["certificate_no"] == made["certificate_id"]
    assert reader.status_of(client, said) == VALID


def test_rows_are_shown_column_by_column(bank: Bank, client: FlaskClient) -> None:
    said = reader.read(client, bank.makes("p.energy.home")["certificate"])
    assert said["data"] == {"month": ["2026-08", "2026-09"], "kwh": [120, 131]}
    assert said["item"]["rows"] == 2


def test_what_is_not_shown_stays_hidden(bank: Bank, client: FlaskClient) -> None:
    whole = bank.makes()["certificate"]
    issued = certificate_issue.SdJwt.read(whole)
    part = issued.show({"data": ["school"], "about": []})
    said = reader.read(client, part)
    assert (said["data"], said["about"]) == ({"school": "示例大学"}, {})
    assert reader.read(client, issued.show({}))["data"] == {}
    assert issued.show() == whole
    hidden = {d.value for d in issued.disclosures if isinstance(d.value, str)} - {"示例大学"}
    assert hidden
    clear = jose.read(part.split("~")[0]).payload.decode()
    assert not [value for value in hidden if value in clear or value in part]


def test_its_client_shows_that_it_is_its_own(bank: Bank, client: FlaskClient) -> None:
    made = bank.makes()["certificate"]
    nonce, to = secrets.token_hex(8), "https://court.example"
    bound = made + binding(made, bank.proof_key, nonce, to)
    said = reader.read(client, bound, expected_aud=to, expected_nonce=nonce)
    assert said["cnf"] == {"jwk": jwk.public_jwk(bank.proof_key.private_key)}
    stranger = made + binding(
        made, jwk.SigningKey(kid=None, alg="ES256", private_key=jwk.generate_key("ES256")), nonce, to
    )
    with pytest.raises(Exception, match=r"(?i)verif|signature"):
        reader.read(client, stranger, expected_aud=to, expected_nonce=nonce)
    with pytest.raises(ValueError, match="nonce"):
        reader.read(client, bound, expected_aud=to, expected_nonce="another")


def _made_later(whole: str) -> str:
    header, payload, rest = whole.split(".", 2)
    claims = json.loads(jwk.b64decode(payload))
    claims["iat"] += 1
    return f"{header}.{jwk.b64encode(json.dumps(claims).encode())}.{rest}"


@pytest.mark.parametrize("change", [_made_later, flipped_signature])
def test_what_is_signed_cannot_be_tampered_with(change: Callable[[str], str], bank: Bank, client: FlaskClient) -> None:
    with pytest.raises(InvalidJWSSignature):
        reader.read(client, change(bank.makes()["certificate"]))


DISCLOSED: dict[str, Callable[[str], str]] = {
    "a disclosure changed": altered_disclosure,
    "a disclosure made up": lambda whole: whole + jwk.b64encode(b'["c2FsdA","school","Another"]') + "~",
}


@pytest.mark.parametrize("how", DISCLOSED)
def test_what_is_tampered_with_never_shows_another_value(how: str, bank: Bank, client: FlaskClient) -> None:
    """A disclosure that no digest vouches for is left out by this library."""
    said = reader.read(client, DISCLOSED[how](bank.makes()["certificate"]))
    assert set(said["data"].items()) <= {("school", "示例大学"), ("major", "会计")}
    assert "something else" not in json.dumps(said)


# Its life


def test_the_consent_freezes_what_was_not_used_in_its_own_transaction(bank: Bank, client: FlaskClient) -> None:
    unused, used = bank.makes(), bank.makes("p.energy.home")
    reported = bank.call("POST", f"{PATH}/{used['certificate_id']}/uses", {"case_no": "LN-7"})
    assert (reported.status_code, reported.json["stage"], reported.json["uses"]) == (201, "used", 1)
    claims = {made["certificate_id"]: reader.read(client, made["certificate"]) for made in (unused, used)}
    now, consent_id, registry = clock.now(), bank.consent.consent_id, factories.registry()

    def both() -> tuple[int, int]:
        return tuple(reader.status_of(client, claims[made["certificate_id"]]) for made in (unused, used))  # type: ignore[return-value]

    pauses.pause(consent_id, bank.holder, now, registry=registry)
    row = db.session.get_one(DataCertificate, unused["certificate_id"], populate_existing=True)
    assert row.consent_froze_at == now  # before anybody has committed
    db.session.commit()
    assert both() == (SUSPENDED, VALID)
    pauses.resume(consent_id, bank.holder, now, registry=registry)
    db.session.commit()
    assert both() == (VALID, VALID)
    endings.withdraw(consent_id, bank.holder, now, registry=registry)
    db.session.rollback()
    assert both() == (VALID, VALID)
    endings.withdraw(consent_id, bank.holder, now, registry=registry)
    db.session.commit()
    assert both() == (SUSPENDED, VALID)
    assert kinds(unused["certificate_id"]) == [
        "generated client", "stored client", "frozen consent", "thawed consent", "frozen consent",
    ]  # fmt: skip
    assert kinds(used["certificate_id"]) == ["generated client", "stored client", "used client"]


def kinds(certificate_id: str) -> list[str]:
    db.session.rollback()
    return [f"{step.kind.partition(':')[2]} {step.by}" for step in data_certificates.steps(certificate_id)]


def test_one_item_taken_out_freezes_its_certificates_only(app: Flask, client: FlaskClient) -> None:
    bank = make_bank(client)
    purpose = db.session.scalars(sa.select(factories.Purpose)).one()
    purpose.items = [
        i | {"necessity": "optional" if i["item"] == "p.energy.home" else "required"} for i in purpose.items
    ]
    db.session.commit()
    bank.access_token = tokens_for(bank, bank.holder)["access_token"]
    consent_id = db.session.scalars(sa.select(Consent).order_by(Consent.created_at.desc())).first()
    assert consent_id is not None
    degree, power = (reader.read(client, bank.makes(item)["certificate"]) for item in (ITEM, "p.energy.home"))
    amendments.withdraw_item(
        consent_id.consent_id, "p.energy.home", bank.holder, clock.now(), registry=factories.registry()
    )
    db.session.commit()
    assert (reader.status_of(client, degree), reader.status_of(client, power)) == (VALID, SUSPENDED)


def test_a_shorter_consent_ends_its_certificates_with_it(bank: Bank, client: FlaskClient) -> None:
    made = bank.makes()
    end = clock.now() + dt.timedelta(days=2)
    amendments.shorten(bank.consent.consent_id, end, bank.holder, clock.now(), registry=factories.registry())
    db.session.commit()
    row = db.session.get_one(DataCertificate, made["certificate_id"])
    assert row.expires_at == end
    standing = certificate_standing.standing(row.certificate_id, end)
    assert (standing.status, standing.why) == (status_lists.Status.INVALID, "expired")


def test_what_is_no_event_of_the_consent_counts_as_well(bank: Bank, client: FlaskClient) -> None:
    said = reader.read(client, bank.makes()["certificate"])
    bank.party.client.standing = "suspended"
    db.session.commit()
    assert reader.status_of(client, said) == SUSPENDED
    bank.party.client.standing = "good"
    db.session.commit()
    assert reader.status_of(client, said) == VALID


def test_the_one_read_that_made_it_does_not_freeze_it(app: Flask, client: FlaskClient) -> None:
    bank = make_bank(client, mode="one_time", max_reads=1)
    said = reader.read(client, bank.makes()["certificate"])
    endings.sweep(clock.now(), registry=factories.registry())
    db.session.commit()
    assert bank.consent.state == "exhausted"
    assert reader.status_of(client, said) == VALID
    refused = bank.call("POST", body={"item": ITEM})
    assert (refused.status_code, refused.json["code"]) == (403, "quota_exhausted")


def test_making_one_is_a_read_that_the_holder_sees(bank: Bank) -> None:
    made = bank.makes()
    (line,) = db.session.scalars(sa.select(Access))
    assert (line.delivery_id, line.item_ids, line.outcome) == (made["delivery_id"], [ITEM], "answered")
    told = db.session.execute(sa.text("SELECT kind, about FROM messages WHERE kind LIKE 'certificate:%'")).all()
    assert [tuple(row) for row in told] == [("certificate:made", made["certificate_id"])]


# What is refused

REFUSED: dict[str, tuple[dict[str, Any] | bytes, int, str]] = {
    "not granted": ({"item": "p.none"}, 403, "item_not_granted"),
    "no JSON": (b"{", 400, "invalid_request"),
    "too deep": (b"[" * 100_000, 400, "invalid_request"),
    "another member": ({"item": ITEM, "more": 1}, 400, "invalid_request"),
    "no text": ({"item": 7}, 400, "invalid_request"),
    "a line break": ({"item": "a\nb"}, 400, "invalid_request"),
    "empty": ({}, 400, "invalid_request"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str, bank: Bank) -> None:
    body, status, code = REFUSED[name]
    answer = bank.call("POST", body=body)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert answer.mimetype == "application/problem+json"
    assert db.session.scalar(sa.select(sa.func.count()).select_from(DataCertificate)) == 0


def test_what_may_only_be_compared_is_not_certified(bank: Bank) -> None:
    version = db.session.scalars(sa.select(factories.lifecycle.history.ConsentVersion)).one()
    version.granted = [i | {"delivery": "verify_only"} for i in version.granted]
    db.session.commit()
    answer = bank.call("POST", body={"item": ITEM})
    assert (answer.status_code, answer.json["code"]) == (409, "not_certifiable")
    (line,) = db.session.scalars(sa.select(Access))
    assert (line.outcome, line.reason, line.item_ids) == ("refused", "not_certifiable", [ITEM])


def test_there_is_an_end_to_how_many(bank: Bank) -> None:
    for _n in range(certificate_issue.MAX_LIVING):
        bank.makes()
    answer = bank.call("POST", body={"item": ITEM})
    assert (answer.status_code, answer.json["code"]) == (409, "too_many_certificates")
    lines = list(db.session.scalars(sa.select(Access).order_by(Access.access_id)))
    assert [line.reason for line in lines] == [None] * certificate_issue.MAX_LIVING + ["too_many_certificates"]
    listed = bank.call("GET").json["certificates"]
    assert len(listed) == certificate_issue.MAX_LIVING


def test_others_see_nothing_of_it(bank: Bank, client: FlaskClient) -> None:
    made = bank.makes()
    path = f"{PATH}/{made['certificate_id']}"
    assert client.get(path).status_code == 401
    assert bank.call("GET", path).json["status"] == "valid"
    assert bank.call("GET", path, proof=LEFT_OUT).status_code == 401
    other = Bank(factories.party(clock.now(), "other"), client)
    row = factories.purpose(
        clock.now(), "other", required=[db.session.scalars(sa.select(factories.DataItem).filter_by(item_id=ITEM)).one()]
    )
    db.session.commit()
    assert row
    other.access_token = tokens_for(other, bank.holder)["access_token"]
    assert other.call("GET", path).status_code == 404
    assert other.call("POST", f"{path}/uses", {"case_no": "1"}).status_code == 404
    assert other.call("GET").json == {"certificates": []}


def test_a_frozen_one_cannot_be_used(bank: Bank) -> None:
    made = bank.makes()
    data_certificates.append(
        made["certificate_id"], data_certificates.Step.FROZEN, clock.now(), by=data_certificates.By.HOLDER,
        vault=factories.registry().vault,
    )  # fmt: skip
    db.session.commit()
    answer = bank.call("POST", f"{PATH}/{made['certificate_id']}/uses", {"case_no": "1"})
    assert (answer.status_code, answer.json["code"]) == (409, "certificate_not_usable")
    assert bank.call("GET", f"{PATH}/{made['certificate_id']}").json["why"] == "holder"


# The list of statuses


def test_the_list_says_how_long_it_holds_and_is_asked_for_anew(bank: Bank, client: FlaskClient) -> None:
    made = bank.makes()
    uri = made["status_list"]["uri"]
    listed = reader.status_claims(client, uri)
    assert listed["ttl"] == 300
    assert listed["exp"] - listed["iat"] == 86400
    first = client.get(uri.removeprefix("http://localhost:8000"))
    assert first.headers["Cache-Control"] == "public, no-cache"
    assert first.headers["Access-Control-Allow-Origin"] == "*"
    tag = {"If-None-Match": first.headers["ETag"]}
    assert client.get(uri.removeprefix("http://localhost:8000"), headers=tag).status_code == 304
    endings.withdraw(bank.consent.consent_id, bank.holder, clock.now(), registry=factories.registry())
    db.session.commit()
    assert client.get(uri.removeprefix("http://localhost:8000"), headers=tag).status_code == 200
    assert client.get("/certificates/status/stl_none").status_code == 404


def test_places_are_given_away_in_no_order_and_once(app: Flask, now: dt.datetime) -> None:
    places = [status_lists.take_place(now) for _n in range(60)]
    assert len(set(places)) == 60
    assert len({list_id for list_id, _index in places}) == 1
    indexes = [index for _list, index in places]
    assert indexes != sorted(indexes)
    assert all(0 <= index < status_lists.SIZE for index in indexes)


def test_a_full_list_makes_room_for_the_next(app: Flask, now: dt.datetime) -> None:
    first, _index = status_lists.take_place(now)
    db.session.execute(sa.update(status_lists.StatusList).values(given=status_lists.SIZE - 1))
    assert status_lists.take_place(now)[0] == first
    second, _index = status_lists.take_place(now)
    assert second != first
    assert status_lists.take_place(now)[0] == second


def test_every_step_has_its_entry_in_the_log(bank: Bank) -> None:
    made = bank.makes()
    row = db.session.get_one(DataCertificate, made["certificate_id"])
    steps = data_certificates.steps(made["certificate_id"])
    waiting = set(db.session.scalars(sa.text("SELECT entry FROM evidence_waiting")))
    waiting = {bytes(entry) for entry in waiting}
    for step in steps:
        entry = data_certificates.entry_of(step, row)
        assert entry is not None
        assert entry.digest in waiting
    assert [step.seq for step in steps] == [1, 2]
    steps[0].salt = None
    assert data_certificates.entry_of(steps[0], row) is None
    assert db.session.scalar(sa.select(sa.func.count()).select_from(CertificateStep)) == 2
