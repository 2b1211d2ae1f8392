"""Dynamic client registration (RFC 7591, OpenID Connect Registration) and its management (RFC 7592) through HTTP."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from consent import clients, endings
from consent.clients import Client, ClientEvent, Profile, Standing
from consent.oauth import initial_access
from consent.oauth.initial_access import InitialAccessToken
from consent.records import Consent, ConsentEvent, Event, Reason, State, facts_of, why_inactive
from dataspace import jwk
from dataspace.db import db
from tests import factories
from tests.conftest import ISSUER, make_settings
from tests.consent.certified import SETTINGS
from tests.consent.registrant import (
    GONE,
    NAMES,
    PATH,
    URI,
    bearer,
    invitation,
    manage,
    metadata_of,
    public_keys,
    register,
    registered,
)
from tests.consent.third_party import ThirdParty, tokens_for
from tests.listening import serving
from wsgi import create_app

pytestmark = pytest.mark.wire


@pytest.fixture
def invited(app: Flask, now: dt.datetime) -> str:
    return invitation(now)


# Registering


def test_breaks_14_registration_answers_201_and_no_unknown_member(client: FlaskClient, invited: str) -> None:
    answer = register(client, invited, colour="blue", client_id="mine", client_secret="chosen", **NAMES)
    assert answer.status_code == 201
    assert answer.mimetype == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    told = answer.json
    assert "colour" not in told
    assert told["client_id"] != "mine"
    assert told["client_secret"] != "chosen"
    assert "colour" not in json.dumps(db.session.get_one(Client, told["client_id"]).options)


def test_the_defaults_are_those_of_openid_connect(client: FlaskClient, invited: str) -> None:
    told = registered(client, invited)
    secret, token = told.pop("client_secret"), told.pop("registration_access_token")
    assert secret.startswith("dsc_")
    assert token.startswith("dsr_")
    client_id = told.pop("client_id")
    issued = told.pop("client_id_issued_at")
    assert issued == int(clients.get(client_id).created_at.timestamp())
    assert told == {
        "client_name": "rp.example",
        "redirect_uris": [URI],
        "token_endpoint_auth_method": "client_secret_basic",
        "grant_types": ["authorization_code"],
        "response_types": ["code"],
        "application_type": "web",
        "subject_type": "pairwise",
        "id_token_signed_response_alg": "RS256",
        "scope": told["scope"],
        "client_secret_expires_at": 0,
        "registration_client_uri": f"{ISSUER}{PATH}/{client_id}",
    }
    assert "openid" in told["scope"].split()


EVERYTHING = {
    "redirect_uris": [URI, "https://rp.example/other?x=1"],
    "application_type": "web",
    "grant_types": ["authorization_code", "refresh_token", "urn:openid:params:grant-type:ciba"],
    "backchannel_token_delivery_mode": "poll",
    "backchannel_authentication_request_signing_alg": "ES256",
    "response_types": ["code"],
    "token_endpoint_auth_method": "private_key_jwt",
    "token_endpoint_auth_signing_alg": "PS256",
    "jwks_uri": "https://rp.example/jwks",
    "client_uri": "https://rp.example/",
    "logo_uri": "https://192.0.2.1/logo.png",  # not to be fetched, without asking any name server
    "policy_uri": "https://rp.example/policy",
    "tos_uri": "https://rp.example/tos",
    "initiate_login_uri": "https://rp.example/login",
    "contacts": ["admin@rp.example", "400-000-0000"],
    "subject_type": "public",
    "id_token_signed_response_alg": "PS256",
    "userinfo_signed_response_alg": "ES256",
    "request_object_signing_alg": "EdDSA",
    "request_uris": ["https://rp.example/request.jwt#hash"],
    "default_max_age": 3600,
    "require_auth_time": True,
    "default_acr_values": ["urn:dataspace:acr:passkey"],
    "require_signed_request_object": True,
    "require_pushed_authorization_requests": True,
    "authorization_signed_response_alg": "ES256",
    "introspection_signed_response_alg": "ES256",
    "dpop_bound_access_tokens": True,
    "post_logout_redirect_uris": ["https://rp.example/bye"],
    "backchannel_logout_uri": "https://rp.example/logout",
    "backchannel_logout_session_required": True,
    "consent_events_delivery": "push",
    "consent_events_uri": "https://rp.example/events",
    "software_id": "4NRB1-0XZABZI9E6-5SM3R",
    "software_version": "2.1",
} | NAMES  # fmt: skip


def test_all_that_is_registered_is_told(client: FlaskClient, invited: str) -> None:
    told = registered(client, invited, **EVERYTHING)
    assert {name: told.get(name) for name in EVERYTHING} == EVERYTHING
    assert "client_secret" not in told
    assert "client_secret_expires_at" not in told
    read = manage(client, "GET", told)
    assert read.status_code == 200
    assert read.json == told


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "private_key_jwt"])
def test_who_registered_signs_people_in(client: FlaskClient, invited: str, now: dt.datetime, method: str) -> None:
    key = jwk.SigningKey(kid="k1", alg="ES256", private_key=jwk.generate_key("ES256"))
    keys = {"keys": [jwk.public_jwk(key.private_key, kid="k1", alg="ES256")]}
    told = registered(client, invited, token_endpoint_auth_method=method, redirect_uris=[factories.REDIRECT_URI],
                      jwks=keys if method == "private_key_jwt" else GONE)  # fmt: skip
    row = clients.get(told["client_id"])
    third = ThirdParty(factories.Party(client=row, key=key, secret=told.get("client_secret")), client)
    answer = tokens_for(third, factories.actor(factories.holder(now), now))
    assert "id_token" in answer
    assert "refresh_token" not in answer, "it did not register for refreshing"


@pytest.mark.parametrize(
    ("members", "names"),
    [
        ({}, {"client_name": "rp.example"}),
        ({"client_name": "Example"}, {"client_name": "Example"}),
        (NAMES, NAMES),
        ({"client_name#zh-TW": "範例"}, {"client_name": "範例"}),
        ({"client_name": "Example", "client_name#zh-HK": "範例"}, {"client_name": "Example",
                                                                   "client_name#zh-Hant": "範例"}),
        ({"client_name": "Example", "client_name#fr": "Exemple"}, {"client_name": "Example"}),
        ({"client_name": "x", "client_name#en-GB": "Example"}, {"client_name": "Example", "client_name#zh-Hans": "x",
                                                                 "client_name#zh-Hant": "x"}),
    ],
    ids=["none", "one", "three", "only a tagged one", "Hong Kong", "no place for French", "English"],
)  # fmt: skip
def test_names_by_language(client: FlaskClient, invited: str, members: dict[str, str], names: dict[str, str]) -> None:
    told = registered(client, invited, **members)
    assert {name: value for name, value in told.items() if name.startswith("client_name")} == names


def test_a_data_client_is_one_if_its_initial_access_token_says_so(client: FlaskClient, now: dt.datetime) -> None:
    told = registered(client, invitation(now, Profile.DATA), jwks=public_keys(), scope="everything")
    assert told["token_endpoint_auth_method"] == "private_key_jwt"
    assert told["id_token_signed_response_alg"] == "ES256"
    assert clients.get(told["client_id"]).profile == Profile.DATA
    login = registered(client, invitation(now), profile="data")
    assert clients.get(login["client_id"]).profile == Profile.LOGIN


# Refusals: (members, error). GONE leaves a member out.

LONG = "x" * 201
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no redirect": ({"redirect_uris": GONE}, "invalid_redirect_uri"),
    "empty redirects": ({"redirect_uris": []}, "invalid_redirect_uri"),
    "redirects as text": ({"redirect_uris": URI}, "invalid_redirect_uri"),
    "redirect no text": ({"redirect_uris": [1]}, "invalid_redirect_uri"),
    "redirect null": ({"redirect_uris": None}, "invalid_redirect_uri"),
    "http redirect": ({"redirect_uris": ["http://rp.example/back"]}, "invalid_redirect_uri"),
    "one of two http": ({"redirect_uris": [URI, "http://rp.example/back"]}, "invalid_redirect_uri"),
    "fragment": ({"redirect_uris": [f"{URI}#x"]}, "invalid_redirect_uri"),
    "empty fragment": ({"redirect_uris": [f"{URI}#"]}, "invalid_redirect_uri"),
    "user name": ({"redirect_uris": ["https://rp.example@evil.example/"]}, "invalid_redirect_uri"),
    "wildcard": ({"redirect_uris": ["https://*.example/back"]}, "invalid_redirect_uri"),
    "relative": ({"redirect_uris": ["/back"]}, "invalid_redirect_uri"),
    "no host": ({"redirect_uris": ["https:///back"]}, "invalid_redirect_uri"),
    "script": ({"redirect_uris": ["javascript:alert(1)"]}, "invalid_redirect_uri"),
    "own scheme": ({"redirect_uris": ["com.example.app:/back"], "application_type": "native"}, "invalid_redirect_uri"),
    "bad port": ({"redirect_uris": ["https://[::1/back"]}, "invalid_redirect_uri"),
    "line break": ({"redirect_uris": ["https://rp.example/\nback"]}, "invalid_redirect_uri"),
    "too many redirects": ({"redirect_uris": [f"{URI}/{n}" for n in range(21)]}, "invalid_redirect_uri"),
    "long redirect": ({"redirect_uris": [f"{URI}/{'x' * 1000}"]}, "invalid_redirect_uri"),
    "implicit": ({"grant_types": ["implicit"]}, "invalid_client_metadata"),
    "code and implicit": ({"grant_types": ["authorization_code", "implicit"]}, "invalid_client_metadata"),
    "refresh only": ({"grant_types": ["refresh_token"]}, "invalid_client_metadata"),
    "no grant": ({"grant_types": []}, "invalid_client_metadata"),
    "grants as text": ({"grant_types": "authorization_code"}, "invalid_client_metadata"),
    "token response": ({"response_types": ["token"]}, "invalid_client_metadata"),
    "hybrid": ({"response_types": ["code", "code id_token"]}, "invalid_client_metadata"),
    "responses as text": ({"response_types": "code"}, "invalid_client_metadata"),
    "public client": ({"token_endpoint_auth_method": "none"}, "invalid_client_metadata"),
    "certificate of an authority": (
        {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "rp.example"},
        "invalid_client_metadata",
    ),
    "certificate of its own": (
        {"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": public_keys()},
        "invalid_client_metadata",
    ),
    "bound to a certificate": ({"tls_client_certificate_bound_access_tokens": True}, "invalid_client_metadata"),
    "client_secret_jwt": ({"token_endpoint_auth_method": "client_secret_jwt"}, "invalid_client_metadata"),
    "method no text": ({"token_endpoint_auth_method": ["client_secret_basic"]}, "invalid_client_metadata"),
    "key method, no key": ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
    "both keys": ({"jwks": public_keys(), "jwks_uri": "https://rp.example/jwks"}, "invalid_client_metadata"),
    "private key": ({"jwks": public_keys(d="AAAA")}, "invalid_client_metadata"),
    "keys as text": ({"jwks": "{}"}, "invalid_client_metadata"),
    "no key in keys": ({"jwks": {"keys": []}}, "invalid_client_metadata"),
    "keys no list": ({"jwks": {"keys": {}}}, "invalid_client_metadata"),
    "only encryption keys": ({"jwks": public_keys(use="enc")}, "invalid_client_metadata"),
    "http keys": ({"jwks_uri": "http://rp.example/jwks"}, "invalid_client_metadata"),
    "keys with a user name": ({"jwks_uri": "https://user@rp.example/jwks"}, "invalid_client_metadata"),
    "long keys address": ({"jwks_uri": f"https://rp.example/{'x' * 400}"}, "invalid_client_metadata"),
    "alg none": ({"id_token_signed_response_alg": "none"}, "invalid_client_metadata"),
    "alg HS256": ({"id_token_signed_response_alg": "HS256"}, "invalid_client_metadata"),
    "alg no text": ({"id_token_signed_response_alg": 256}, "invalid_client_metadata"),
    "encrypted id token": ({"id_token_encrypted_response_alg": "RSA-OAEP"}, "invalid_client_metadata"),
    "encrypted request": ({"request_object_encryption_enc": "A128GCM"}, "invalid_client_metadata"),
    "userinfo HS256": ({"userinfo_signed_response_alg": "HS256"}, "invalid_client_metadata"),
    "request object HS256": ({"request_object_signing_alg": "HS256"}, "invalid_client_metadata"),
    "must sign, by none": (
        {"request_object_signing_alg": "none", "require_signed_request_object": True}, "invalid_client_metadata",
    ),
    "JARM HS256": ({"authorization_signed_response_alg": "HS256"}, "invalid_client_metadata"),
    "introspection none": ({"introspection_signed_response_alg": "none"}, "invalid_client_metadata"),
    "subject type": ({"subject_type": "transient"}, "invalid_client_metadata"),
    "application type": ({"application_type": "browser"}, "invalid_client_metadata"),
    "name no text": ({"client_name": {"en": "Example"}}, "invalid_client_metadata"),
    "tagged name no text": ({"client_name#zh-Hans": 1}, "invalid_client_metadata"),
    "long name": ({"client_name": LONG}, "invalid_client_metadata"),
    "name of two lines": ({"client_name": "Bank\nof Example"}, "invalid_client_metadata"),
    "contacts as text": ({"contacts": "a@rp.example"}, "invalid_client_metadata"),
    "contact no text": ({"contacts": [None]}, "invalid_client_metadata"),
    "long contact": ({"contacts": [LONG]}, "invalid_client_metadata"),
    "script as policy": ({"policy_uri": "javascript:alert(1)"}, "invalid_client_metadata"),
    "http terms": ({"tos_uri": "http://rp.example/"}, "invalid_client_metadata"),
    "logo as data": ({"logo_uri": "data:image/png;base64,AAAA"}, "invalid_client_metadata"),
    "client_uri no URL": ({"client_uri": "rp.example"}, "invalid_client_metadata"),
    "login elsewhere": ({"initiate_login_uri": "http://rp.example/login"}, "invalid_client_metadata"),
    "age as text": ({"default_max_age": "3600"}, "invalid_client_metadata"),
    "age true": ({"default_max_age": True}, "invalid_client_metadata"),
    "age negative": ({"default_max_age": -1}, "invalid_client_metadata"),
    "age huge": ({"default_max_age": 10**12}, "invalid_client_metadata"),
    "flag as text": ({"require_auth_time": "true"}, "invalid_client_metadata"),
    "flag as number": ({"dpop_bound_access_tokens": 1}, "invalid_client_metadata"),
    "http request_uris": ({"request_uris": ["http://rp.example/r"]}, "invalid_client_metadata"),
    "request_uris with a user name": ({"request_uris": ["https://user@rp.example/r"]}, "invalid_client_metadata"),
    "logout fragment": ({"post_logout_redirect_uris": [f"{URI}#x"]}, "invalid_client_metadata"),
    "http logout": ({"post_logout_redirect_uris": ["http://rp.example/"]}, "invalid_client_metadata"),
    "events pushed nowhere": ({"consent_events_delivery": "push"}, "invalid_client_metadata"),
    "events by http": (
        {"consent_events_delivery": "push", "consent_events_uri": "http://rp.example/"}, "invalid_client_metadata",
    ),
    "back-channel http": ({"backchannel_logout_uri": "http://rp.example/"}, "invalid_client_metadata"),
    "sector http": ({"sector_identifier_uri": "http://rp.example/s"}, "invalid_client_metadata"),
    "statement, no JWT": ({"software_statement": "x"}, "invalid_software_statement"),
    "statement of a stranger": ({"software_statement": "e30.e30.AA"}, "unapproved_software_statement"),
}  # fmt: skip


@pytest.mark.parametrize(("members", "error"), REFUSED.values(), ids=REFUSED)
def test_refused(client: FlaskClient, invited: str, members: dict[str, Any], error: str) -> None:
    answer = register(client, invited, **members)
    assert (answer.status_code, answer.json["error"]) == (400, error)
    assert not set('"\\\n') & set(answer.json["error_description"])
    assert db.session.scalar(select(Client)) is None, "nothing was written"
    assert registered(client, invited), "a refusal does not use the token up"


DATA_REFUSED: dict[str, dict[str, Any]] = {
    "a secret": {"token_endpoint_auth_method": "client_secret_basic"},
    "RS256": {"id_token_signed_response_alg": "RS256"},
    "RS256 assertions": {"token_endpoint_auth_signing_alg": "RS256"},
    "RS256 requests": {"request_object_signing_alg": "RS256"},
    "RS256 userinfo": {"userinfo_signed_response_alg": "RS256"},
    "RS256 responses": {"authorization_signed_response_alg": "RS256"},
    "RS256 introspection": {"introspection_signed_response_alg": "RS256"},
    "unsigned requests": {"request_object_signing_alg": "none"},
    "no key": {"jwks": GONE},
}


@pytest.mark.parametrize("members", DATA_REFUSED.values(), ids=DATA_REFUSED)
def test_a_data_client_keeps_to_fapi(client: FlaskClient, now: dt.datetime, members: dict[str, Any]) -> None:
    answer = register(client, invitation(now, Profile.DATA), **({"jwks": public_keys()} | members))
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_client_metadata")


OF_AN_AUTHORITY = {"token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "rp.example"}
OF_ITS_OWN = {"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": public_keys()}
BOUND = {"tls_client_certificate_bound_access_tokens": True}


@pytest.mark.parametrize(
    ("verdict", "members", "status"),
    [
        ("X-Client-Verify", OF_AN_AUTHORITY, 201),
        ("", OF_AN_AUTHORITY, 400),  # nobody vouches for a name in a certificate
        ("", OF_ITS_OWN, 201),
        ("", BOUND, 201),
    ],
    ids=["an authority vouches", "no authority", "its own", "bound tokens"],
)
def test_certificates_where_a_proxy_shows_them(
    database_url: str, now: dt.datetime, verdict: str, members: dict[str, Any], status: int
) -> None:
    app = create_app(make_settings(database_url, **(SETTINGS | {"client_certificate_verify_header": verdict})))
    with app.app_context():
        assert register(app.test_client(), invitation(now), **members).status_code == status
        db.session.remove()


BODIES = {
    "a list": (b"[]", "application/json"),
    "a text": (b'"x"', "application/json"),
    "nothing": (b"", "application/json"),
    "half": (b'{"redirect_uris": [', "application/json"),
    "a form": (b"redirect_uris=x", "application/x-www-form-urlencoded"),
    "deep": (b"[" * 100_000, "application/json"),
    "no UTF-8": (b'{"client_name": "\xff"}', "application/json"),
}


@pytest.mark.parametrize(("body", "mimetype"), BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_json_object(client: FlaskClient, invited: str, body: bytes, mimetype: str) -> None:
    answer = client.post(PATH, data=body, content_type=mimetype, headers=bearer(invited))
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_client_metadata")


def test_native_clients_return_to_the_loopback(database_url: str, now: dt.datetime) -> None:
    """RFC 8252 section 7.3, in production too; web clients only where the settings are those of development."""
    settings = make_settings(database_url, mode="production", issuer="https://as.example", fetch_loopback=False)
    app = create_app(settings)
    with app.app_context():
        uri, http = "http://127.0.0.1:8123/back", app.test_client()
        web = register(http, invitation(now), redirect_uris=[uri])
        native = register(http, invitation(now), redirect_uris=[uri], application_type="native")
        elsewhere = register(http, invitation(now), redirect_uris=["http://rp.example/"], application_type="native")
        assert [web.status_code, native.status_code, elsewhere.status_code] == [400, 201, 400]
        assert native.json["registration_client_uri"].startswith("https://as.example/")
        db.session.remove()
        db.engine.dispose()


# Sectors


class Answer(BaseHTTPRequestHandler):
    """What the server was told to answer."""

    def do_GET(self) -> None:
        status, body = self.server.answer  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Location", "/elsewhere")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_args: Any) -> None:
        """Not into the output of the tests."""


@pytest.fixture
def sector() -> Iterator[Callable[..., str]]:
    """Publishes a list of redirect URIs; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)

    def publish(body: Any, status: int = 200) -> str:
        server.answer = (status, body)  # type: ignore[attr-defined]
        return f"http://127.0.0.1:{server.server_port}/sector"

    with serving(server):
        yield publish


@pytest.mark.parametrize(
    ("listed", "status"),
    [([URI], 200), ([URI, "https://other.example/"], 200), (["https://other.example/"], 200), ({URI: 1}, 200),
     (URI, 200), ([], 200), ([URI], 302), ([URI], 404)],
    ids=["named", "one of more", "not named", "an object", "a text", "empty", "moved", "gone"],
)  # fmt: skip
def test_the_sector_names_every_redirect_uri(
    client: FlaskClient, invited: str, sector: Callable[..., str], listed: Any, status: int
) -> None:
    uri = sector(listed, status)
    answer = register(client, invited, sector_identifier_uri=uri)
    if isinstance(listed, list) and URI in listed and status == 200:
        assert answer.status_code == 201, answer.text
        assert answer.json["sector_identifier_uri"] == uri
    else:
        assert (answer.status_code, answer.json["error"]) == (400, "invalid_client_metadata")


# Who may


def test_without_an_initial_access_token_nobody_registers(client: FlaskClient) -> None:
    answer = register(client, None)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer ", "Basic YTpi", "Bearer dsi_x", "Bearer \udce9"])
def test_a_bad_initial_access_token(client: FlaskClient, header: str) -> None:
    for document in ({"redirect_uris": [URI]}, {}):
        headers = {"Authorization": header.encode("utf-8", "surrogateescape").decode("latin-1")}
        answer = client.post(PATH, json=document, headers=headers)
        assert (answer.status_code, answer.json["error"]) == (401, "invalid_token")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_token_is_good_for_one_client(client: FlaskClient, invited: str) -> None:
    told = registered(client, invited)
    again = register(client, invited)
    assert (again.status_code, again.json["error"]) == (401, "invalid_token")
    row = db.session.scalars(select(InitialAccessToken)).one()
    db.session.refresh(row)
    assert row.client_id == told["client_id"]
    assert row.used_at is not None


def test_a_token_expires_and_can_be_revoked(client: FlaskClient, now: dt.datetime) -> None:
    old = initial_access.issue(Profile.LOGIN, now - dt.timedelta(days=8), actor_id="command")
    revoked = initial_access.issue(Profile.LOGIN, now, actor_id="command")
    initial_access.revoke(initial_access.digest_of(revoked), now, actor_id="command")
    db.session.commit()
    assert [register(client, token).status_code for token in (old, revoked)] == [401, 401]


def test_only_digests_are_kept(client: FlaskClient, invited: str) -> None:
    told = registered(client, invited)
    with db.engine.connect() as link:
        for table in db.metadata.sorted_tables:
            kept = repr(link.execute(table.select()).all())
            for secret in (invited, told["registration_access_token"], told["client_secret"]):
                assert secret not in kept, table.name


@pytest.fixture
def open_door(database_url: str) -> Iterator[FlaskClient]:
    """A service where everybody may register."""
    app = create_app(make_settings(database_url, open_registration=True))
    with app.app_context():
        yield app.test_client()
        db.session.remove()
        db.engine.dispose()


def test_open_registration_is_for_sign_in_only(open_door: FlaskClient) -> None:
    told = registered(open_door, None, jwks=public_keys(), profile="data")
    assert clients.get(told["client_id"]).profile == Profile.LOGIN
    wrong = register(open_door, "wrong")
    assert wrong.status_code == 401, "who shows a token shows a good one"


def test_the_endpoint_is_rate_limited(database_url: str) -> None:
    app = create_app(make_settings(database_url, rate_limits=True))
    with app.app_context():
        http = app.test_client()
        seen = {register(http, "wrong").status_code for _ in range(31)}
        assert seen == {401, 429}
        db.engine.dispose()


def test_the_metadata_name_the_endpoint(client: FlaskClient) -> None:
    for path in ("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"):
        assert client.get(path).json["registration_endpoint"] == f"{ISSUER}{PATH}"


# Management


def test_a_change_replaces_all_metadata(client: FlaskClient, invited: str) -> None:
    told = registered(client, invited, **EVERYTHING)
    less = {"client_id": told["client_id"], "redirect_uris": ["https://rp.example/new"]} | NAMES
    answer = manage(client, "PUT", told, json=less)
    assert answer.status_code == 200, answer.text
    after = answer.json
    assert after["redirect_uris"] == ["https://rp.example/new"]
    assert after["token_endpoint_auth_method"] == "client_secret_basic"
    assert after["client_secret"].startswith("dsc_"), "it proved a key before"
    assert not {"jwks_uri", "policy_uri", "default_max_age", "contacts"} & set(after)
    assert manage(client, "GET", told).status_code == 401, "the token was rotated"
    read = manage(client, "GET", after)
    assert read.status_code == 200
    secret = ("client_secret", "client_secret_expires_at")
    assert read.json == {name: value for name, value in after.items() if name not in secret}
    kinds = db.session.scalars(select(ClientEvent.kind).order_by(ClientEvent.event_id)).all()
    assert kinds == ["client:registered", "client:changed"]


def test_the_secret_stays_when_something_else_changes(client: FlaskClient, invited: str) -> None:
    told = registered(client, invited)
    before = clients.get(told["client_id"]).secret_digest
    body = metadata_of(told, client_secret=told["client_secret"], contacts=["a@rp.example"])
    answer = manage(client, "PUT", told, json=body)
    assert answer.status_code == 200, answer.text
    assert "client_secret" not in answer.json
    db.session.expire_all()
    assert clients.get(told["client_id"]).secret_digest == before


def test_whoever_changes_to_a_key_has_no_secret_any_more(client: FlaskClient, invited: str) -> None:
    told = registered(client, invited)
    body = metadata_of(told, token_endpoint_auth_method="private_key_jwt", jwks=public_keys())
    assert manage(client, "PUT", told, json=body).status_code == 200
    db.session.expire_all()
    assert clients.get(told["client_id"]).secret_digest is None


CHANGES_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no client_id": ({"client_id": GONE}, "invalid_client_metadata"),
    "another client_id": ({"client_id": "bank"}, "invalid_client_metadata"),
    "a chosen secret": ({"client_secret": "mine"}, "invalid_client_metadata"),
    "a secret of no kind": ({"client_secret": 1}, "invalid_client_metadata"),
    "its own token": ({"registration_access_token": "x"}, "invalid_client_metadata"),
    "its own address": ({"registration_client_uri": "https://x.example"}, "invalid_client_metadata"),
    "its own date": ({"client_id_issued_at": 1}, "invalid_client_metadata"),
    "when the secret ends": ({"client_secret_expires_at": 0}, "invalid_client_metadata"),
    "another name": ({"client_name": "Bank of Example"}, "invalid_client_metadata"),
    "no redirects": ({"redirect_uris": GONE}, "invalid_redirect_uri"),
    "a bad redirect": ({"redirect_uris": ["http://rp.example/"]}, "invalid_redirect_uri"),
    "implicit": ({"grant_types": ["implicit"]}, "invalid_client_metadata"),
    "a key method without key": ({"token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
}


@pytest.mark.parametrize(("changes", "error"), CHANGES_REFUSED.values(), ids=CHANGES_REFUSED)
def test_a_change_that_is_refused(client: FlaskClient, invited: str, changes: dict[str, Any], error: str) -> None:
    told = registered(client, invited)
    before = manage(client, "GET", told).json
    answer = manage(client, "PUT", told, json=metadata_of(told, **changes))
    assert (answer.status_code, answer.json["error"]) == (400, error)
    assert manage(client, "GET", told).json == before, "nothing changed, the token neither"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_another_token_opens_nothing(client: FlaskClient, now: dt.datetime, method: str) -> None:
    mine, other = registered(client, invitation(now)), registered(client, invitation(now))
    path = mine["registration_client_uri"].removeprefix(ISSUER)
    for token in (other["registration_access_token"], "wrong", "", None):
        for where in (path, f"{PATH}/nobody", f"{PATH}/bank"):
            answer = client.open(where, method=method, json=metadata_of(mine), headers=bearer(token))
            assert answer.status_code == 401, where
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert manage(client, "GET", mine).status_code == 200


def test_an_administrators_client_has_no_such_address(client: FlaskClient, now: dt.datetime) -> None:
    factories.party(now)
    db.session.commit()
    for token in ("-", "", None):
        assert client.get(f"{PATH}/bank", headers=bearer(token)).status_code == 401


def test_a_suspended_client_changes_nothing(client: FlaskClient, invited: str, now: dt.datetime) -> None:
    told = registered(client, invited)
    clients.suspend(told["client_id"], now, actor_id="command", reason_code="other", text="")
    db.session.commit()
    assert manage(client, "GET", told).status_code == 200
    assert manage(client, "PUT", told, json=metadata_of(told)).status_code == 400


def test_a_deleted_client_is_gone_and_so_is_what_it_was_given(client: FlaskClient, now: dt.datetime) -> None:
    world = factories.world(now)
    row = db.session.get_one(Client, "bank")
    row.registration_digest = initial_access.digest_of("dsr_bank")
    db.session.commit()
    third = ThirdParty(world.party, client)
    answer = tokens_for(third, world.actor)
    told = {"registration_client_uri": f"{ISSUER}{PATH}/bank", "registration_access_token": "dsr_bank"}
    deleted = manage(client, "DELETE", told)
    assert (deleted.status_code, deleted.data) == (204, b"")
    assert manage(client, "DELETE", told).status_code == 401

    db.session.expire_all()
    for consent in db.session.scalars(select(Consent)):
        assert consent.state == State.TERMINATED
        inactive = why_inactive(facts_of(consent.consent_id), now)
        assert inactive is not None
        assert inactive.reason == Reason.TERMINATED
    last = select(ConsentEvent.kind).order_by(ConsentEvent.event_id.desc()).limit(1)
    assert db.session.scalar(last) == Event.TERMINATED
    assert db.session.get_one(Client, "bank").standing == Standing.DELETED
    assert third.read(answer["access_token"]).status_code in (401, 403)
    for refused in (third.refresh(answer["refresh_token"]), third.push(), third.introspect(answer["access_token"])):
        assert (refused.status_code, refused.json["error"]) == (401, "invalid_client")
    page = client.get("/authorize?client_id=bank&request_uri=x")
    assert page.status_code == 400


def test_more_consents_than_one_request_ends_are_ended_by_the_sweep(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    second = factories.consent(factories.ask(world.purpose, now), world.actor, now)
    clients.delete("bank", now, actor_id="command", reason_code="other", text="")
    db.session.flush()
    assert endings.terminate("bank", now, limit=1, registry=factories.registry()) == 1
    for consent in (world.consent, second):
        inactive = why_inactive(facts_of(consent.consent_id), now)
        assert inactive is not None
        assert inactive.reason == Reason.TERMINATED, "at once, whether written down or not"
    assert endings.sweep(now, registry=factories.registry()) == 1
    assert endings.sweep(now, registry=factories.registry()) == 0
