"""Administrators register clients, change and suspend them."""

import datetime as dt
import json
import re
from typing import Any

from sqlalchemy import select

from consent import clients
from consent.clients import ClientEvent
from consent.records import Reason, facts_of, why_inactive
from dataspace import jwk
from dataspace.db import db
from dataspace.holders import Holder
from tests import factories
from tests.consent.desk import Desk
from tests.factories import World

FORM = {
    "client_id": "new-bank",
    "legal_name__zh_hans": "新示例银行",
    "legal_name__en": "New Example Bank",
    "uscc": "91440099MA9T00042L",
    "contact": "400-111-2222",
    "profile": "data",
    "token_endpoint_auth_method": "private_key_jwt",
    "id_token_signed_response_alg": "ES256",
    "redirect_uris": "https://new.example/one\nhttps://new.example/two",
    "text": "Application 2026-17",
    "ground": "registration",
}


def jwks(**more: Any) -> str:
    key = jwk.generate_key("ES256")
    return json.dumps({"keys": [jwk.public_jwk(key, kid="k1", alg="ES256") | more]})


# The registry


def test_register_a_data_client(desk: Desk, admin: Holder) -> None:
    desk.get("/admin/register-client")
    desk.post("/admin/register-client", **FORM, jwks=jwks())
    assert desk.path == "/admin/clients/new-bank"
    client = clients.get("new-bank")
    assert client.legal_name == {"zh_hans": "新示例银行", "zh_hant": "新示例银行", "en": "New Example Bank"}
    assert client.redirect_uris == ["https://new.example/one", "https://new.example/two"]
    assert client.secret_digest is None
    noted = db.session.scalars(select(ClientEvent).filter_by(client_id="new-bank")).one()
    assert (noted.kind, noted.actor_id, noted.text) == ("client:registered", admin.holder_id, "Application 2026-17")


def test_a_secret_is_shown_once(desk: Desk) -> None:
    desk.get("/admin/register-client")
    login = {"profile": "login", "token_endpoint_auth_method": "client_secret_basic"}
    desk.post("/admin/register-client", **(FORM | login))
    first = re.search(r"dsc_[\w-]{43}", desk.says)
    assert first
    desk.get("/admin/clients/new-bank")
    assert "dsc_" not in desk.page
    before = clients.get("new-bank").secret_digest
    desk.post("/admin/clients/new-bank/secret", 400, ground="key_change", text="")
    desk.post("/admin/clients/new-bank/secret", ground="key_change", text="lost")
    assert clients.get("new-bank").secret_digest != before
    second = re.search(r"dsc_[\w-]{43}", desk.says)
    assert second
    assert second[0] != first[0]


WRONG = (
    ("client_id", "two words", "Only letters, digits"),
    ("client_id", "bank", "This id is taken"),
    ("uscc", "91440099MA9T00042M", "not a valid unified social credit code"),
    ("contact", "", "missing, too long, or not one line"),
    ("contact", "a\x07b", "missing, too long, or not one line"),
    ("legal_name__en", "x" * 201, "missing, too long, or not one line"),
    ("redirect_uris", "", "Each redirect address"),
    ("redirect_uris", "http://new.example/", "Each redirect address"),
    ("redirect_uris", "https://new.example/#part", "Each redirect address"),
    ("redirect_uris", "https://user@new.example/", "Each redirect address"),
    ("redirect_uris", "https://*.new.example/", "Each redirect address"),
    ("redirect_uris", "https://[::1/", "Each redirect address"),
    ("jwks", "", "set of public signing keys"),
    ("jwks", "not json", "set of public signing keys"),
    ("jwks", "[]", "set of public signing keys"),
    ("jwks", '{"keys": []}', "set of public signing keys"),
    ("jwks", jwks(d="AAAA"), "set of public signing keys"),
    ("jwks_uri", "http://new.example/jwks", "set of public signing keys"),
    ("token_endpoint_auth_method", "client_secret_basic", "proves itself by a key of its own"),
    ("token_endpoint_auth_method", "none", "incomplete or wrong"),
    ("profile", "root", "incomplete or wrong"),
    ("text", " ", "Choose a reason"),
)


def test_a_wrong_registration_is_sent_back_with_what_was_typed(desk: Desk) -> None:
    before = len(db.session.scalars(select(ClientEvent)).all())
    for field, value, says in WRONG:
        desk.get("/admin/register-client")
        status = 409 if value == "bank" else 400
        desk.post("/admin/register-client", status, **(FORM | {"jwks": jwks()} | {field: value}))
        assert says in desk.says, (field, value)
        assert "Application 2026-17" in desk.page or field == "text"
        assert 'aria-invalid="true"' in desk.page, (field, value)
    assert len(db.session.scalars(select(ClientEvent)).all()) == before


def test_change_contact_redirect_addresses_and_keys(desk: Desk, admin: Holder) -> None:
    desk.get("/admin/clients/bank/edit")
    assert "https://bank.example/callback" in desk.page
    changed = {"contact": "95588", "address": "", "privacy_officer": "", "jwks": jwks(), "jwks_uri": "",
               "redirect_uris": "https://bank.example/new"}  # fmt: skip
    desk.post("/admin/clients/bank/edit", 400, **changed, ground="correction", text="")
    assert "95588" in desk.page
    assert clients.get("bank").contact == "400-000-0000"
    desk.post("/admin/clients/bank/edit", **changed, ground="correction", text="Letter of 1 March")
    bank = clients.get("bank")
    assert (bank.contact, bank.redirect_uris) == ("95588", ["https://bank.example/new"])
    noted = db.session.scalars(select(ClientEvent).filter_by(kind="client:changed")).one()
    assert noted.text == "contact, jwks, redirect_uris: Letter of 1 March"
    assert (noted.actor_id, noted.reason_code) == (admin.holder_id, "correction")
    assert "contact, jwks, redirect_uris: Letter of 1 March" in desk.says
    both = changed | {"jwks_uri": "https://bank.example/jwks"}
    desk.get("/admin/clients/bank/edit")
    desk.post("/admin/clients/bank/edit", 400, **both, ground="correction", text="x")
    assert "not both" in desk.says


def test_the_identity_of_a_client_cannot_be_changed(desk: Desk) -> None:
    desk.get("/admin/clients/bank/edit")
    same = {
        "contact": "400-000-0000",
        "redirect_uris": factories.REDIRECT_URI,
        "jwks": json.dumps(clients.get("bank").jwks),
    }
    desk.post("/admin/clients/bank/edit", **same, uscc="x", profile="login", client_id="y", ground="other", text="x")
    assert clients.get("bank").profile == "data"
    assert not db.session.scalars(select(ClientEvent).filter_by(kind="client:changed")).all()


def test_suspend_and_reinstate(desk: Desk, world: World, now: dt.datetime) -> None:
    later = now + dt.timedelta(seconds=5)
    desk.get("/admin/clients/bank")
    desk.post("/admin/clients/bank/standing", 400, standing="suspended", ground="resolved", text="x")
    desk.post("/admin/clients/bank/standing", standing="suspended", ground="client_misuse", text="Sold the data")
    inactive = why_inactive(facts_of(world.consent.consent_id), later)
    assert inactive is not None
    assert inactive.reason == Reason.CLIENT_SUSPENDED
    assert "Misuse by the third party · Sold the data" in desk.says
    desk.post("/admin/clients/bank/standing", 409, standing="suspended", ground="client_misuse", text="again")
    desk.get("/admin")
    assert [row[4] for row in desk.rows()] == ["Third party suspended"]
    desk.get("/admin/clients/bank")
    desk.post("/admin/clients/bank/standing", standing="good", ground="resolved", text="Audit passed")
    assert why_inactive(facts_of(world.consent.consent_id), later) is None
    kinds = [e.kind for e in db.session.scalars(select(ClientEvent).order_by(ClientEvent.event_id))]
    assert kinds == ["client:registered", "client:suspended", "client:reinstated"]
    desk.get("/admin/clients/none", 404)
