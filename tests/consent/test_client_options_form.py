"""The administrator's form for a client's options: every option, in its kind, with what is wrong beside its field."""

import datetime as dt
import re
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from consent import clients
from consent.client_options import CHOICES, KINDS, ClientOptions
from consent.clients import ClientEvent, Profile
from consent.web.admin.client_options import GROUPS
from dataspace.db import db
from tests import factories
from tests.consent.desk import Desk

PATH = "/admin/clients/shop/options"
WHY: dict[str, Any] = {"ground": "correction", "text": "By letter of today."}


@pytest.fixture
def desk(app: Flask, now: dt.datetime) -> Desk:
    factories.party(now, "shop", profile=Profile.LOGIN, method="client_secret_basic", contacts=["a@shop.example"])
    desk = Desk(app.test_client()).sign_in(factories.administrator(now), now)
    desk.get(PATH)
    return desk


def unchanged(**changes: str) -> dict[str, str]:
    """The form as a browser sends it back, with some fields filled in otherwise."""
    base = {"application_type": "web", "subject_type": "pairwise", "contacts": "a@shop.example"}
    return base | {"grant_types": "authorization_code\r\nrefresh_token"} | WHY | changes


def options() -> dict[str, Any]:
    db.session.rollback()
    db.session.expire_all()
    return clients.get("shop").options


def test_every_option_has_its_place_and_its_words(desk: Desk) -> None:
    named = [name for _title, group in GROUPS for name in group]
    assert sorted(named) == sorted(KINDS)
    for name in named:
        assert re.search(rf'name="{name}"', desk.page), name
    assert desk.page.count("<fieldset") == len(GROUPS)
    assert all(f'value="{word}"' in desk.page for words in CHOICES.values() for word in words)


def test_nothing_changes_when_nothing_is_changed(desk: Desk) -> None:
    desk.post(PATH, **unchanged())
    assert options() == {"contacts": ["a@shop.example"]}
    assert "client:changed" not in set(db.session.scalars(select(ClientEvent.kind)))


CHANGES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "a word": ({"subject_type": "public"}, {"subject_type": "public"}),
    "an algorithm": ({"authorization_signed_response_alg": "PS256"}, {"authorization_signed_response_alg": "PS256"}),
    "a tick": ({"require_auth_time": "yes"}, {"require_auth_time": True}),
    "a number": ({"default_max_age": "0"}, {"default_max_age": 0}),
    "an address": ({"policy_uri": " https://shop.example/p "}, {"policy_uri": "https://shop.example/p"}),
    "lines": (
        {"contacts": "a@shop.example\r\n\r\n 400-1 \r\n"}, {"contacts": ["a@shop.example", "400-1"]},
    ),
    "fewer grants": ({"grant_types": "authorization_code"}, {"grant_types": ["authorization_code"]}),
    "none left": ({"contacts": ""}, {"contacts": None}),
}  # fmt: skip


@pytest.mark.parametrize(("typed", "stored"), CHANGES.values(), ids=CHANGES)
def test_what_is_typed_is_registered(desk: Desk, typed: dict[str, str], stored: dict[str, Any]) -> None:
    desk.post(PATH, **unchanged(**typed))
    assert desk.path == "/admin/clients/shop"
    expected = {"contacts": ["a@shop.example"]} | stored
    assert options() == {name: value for name, value in expected.items() if value is not None}
    event = db.session.scalars(select(ClientEvent).order_by(ClientEvent.event_id.desc())).first()
    assert event is not None
    assert (event.kind, event.reason_code, event.text) == (
        "client:changed", "correction", "options: By letter of today.",
    )  # fmt: skip
    desk.get(PATH)
    assert ClientOptions.from_document(options()) == ClientOptions.from_document(clients.get("shop").options)


WRONG: dict[str, tuple[dict[str, str], str]] = {
    "no number": ({"default_max_age": "an hour"}, "default_max_age"),
    "negative": ({"default_max_age": "-1"}, "default_max_age"),
    "huge": ({"default_max_age": "99999999999"}, "default_max_age"),
    "no choice": ({"subject_type": "transient"}, "subject_type"),
    "RS512": ({"userinfo_signed_response_alg": "RS512"}, "userinfo_signed_response_alg"),
    "script": ({"policy_uri": "javascript:alert(1)"}, "policy_uri"),
    "no code grant": ({"grant_types": "refresh_token"}, "grant_types"),
    "inner address": ({"backchannel_logout_uri": "http://10.0.0.1/"}, "backchannel_logout_uri"),
    "name of a certificate": ({"tls_client_auth_san_dns": "shop.example"}, "tls_client_auth_subject_dn"),
    "no reason": ({"text": ""}, "text"),
}


@pytest.mark.parametrize(("typed", "marked"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_stands_beside_its_field(desk: Desk, typed: dict[str, str], marked: str) -> None:
    desk.post(PATH, 400, **unchanged(require_auth_time="yes", software_id="kept", **typed))
    assert "Nothing was changed" in desk.page
    assert f'id="error-{marked}"' in desk.page
    assert 'value="kept"' in desk.page, "what was typed is still there"
    assert options() == {"contacts": ["a@shop.example"]}


def test_bound_to_certificates_only_where_they_are_offered(desk: Desk) -> None:
    desk.post(PATH, 400, **unchanged(tls_client_certificate_bound_access_tokens="yes"))
    assert "This is not possible here." in desk.page
    assert options() == {"contacts": ["a@shop.example"]}


def test_who_reads_data_keeps_to_fapi(app: Flask, now: dt.datetime) -> None:
    factories.party(now, "shop")
    desk = Desk(app.test_client()).sign_in(factories.administrator(now), now)
    desk.get(PATH)
    desk.post(PATH, 400, **unchanged(introspection_signed_response_alg="RS256"))
    assert 'id="error-introspection_signed_response_alg"' in desk.page


def test_an_unknown_client_has_no_form(desk: Desk) -> None:
    desk.get("/admin/clients/nobody/options", 404)
