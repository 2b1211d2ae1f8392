"""Client certificates in the protocol (RFC 8705), behind a proxy that is played: authentication, and bound tokens."""

from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient

from consent.clients import Profile
from dataspace import catalogue, clock
from dataspace.db import db
from dataspace.settings import Settings
from tests import factories
from tests.conftest import ISSUER, make_settings
from tests.consent.certified import (
    ALIAS,
    SETTINGS,
    SUBJECT,
    CertifiedParty,
    Credential,
    authority,
    by_proxy,
    certificate,
)
from tests.consent.third_party import LEFT_OUT, ThirdParty, code_for, tokens_for
from wsgi import create_app

pytestmark = pytest.mark.wire

AUTHORITY = authority()
SHOWN = certificate(by=AUTHORITY, hosts=("bank.example",), uris=("https://bank.example/client",))
OTHER = certificate("CN=other.example,O=Example Bank,C=CN", by=AUTHORITY, hosts=("other.example",))
NAMES = {
    "subject": {"tls_client_auth_subject_dn": SUBJECT},
    "host": {"tls_client_auth_san_dns": "bank.example"},
    "uri": {"tls_client_auth_san_uri": "https://bank.example/client"},
}


@pytest.fixture
def settings(database_url: str) -> Settings:
    return make_settings(database_url, **SETTINGS)


def party(client: FlaskClient, method: str, shows: Credential | None = SHOWN, **options: Any) -> CertifiedParty:
    """A second bank, registered for the same purpose."""
    row = factories.party(clock.now(), "trust", method=method, **options)
    factories.purpose(clock.now(), "trust", required=[_degree()])
    db.session.commit()
    return CertifiedParty(row, client, shows=shows)


def _degree() -> Any:
    return next(item for item in catalogue.all_current() if item.item_id == "p.edu.degree")


@pytest.fixture
def bank(world: factories.World, client: FlaskClient) -> CertifiedParty:
    """Authenticates by its certificate, and its tokens are bound to it."""
    return party(
        client, "tls_client_auth", tls_client_certificate_bound_access_tokens=True, tls_client_auth_subject_dn=SUBJECT
    )


# Authentication


@pytest.mark.parametrize("registered", NAMES.values(), ids=NAMES.keys())
def test_a_certificate_of_an_authority(world: factories.World, client: FlaskClient, registered: dict[str, str]) -> None:
    bank = party(client, "tls_client_auth", **registered)
    assert bank.push().status_code == 201
    refused = replace(bank, shows=OTHER).push()
    assert (refused.status_code, refused.json["error"]) == (401, "invalid_client")


def test_a_certificate_of_ones_own(world: factories.World, client: FlaskClient) -> None:
    bank = party(client, "self_signed_tls_client_auth", None)
    own = certificate(key=bank.party.key.private_key)
    bank.added = by_proxy(own, verdict="FAILED:self-signed certificate")
    assert bank.push().status_code == 201
    bank.added = by_proxy(certificate(), verdict="FAILED:self-signed certificate")
    assert bank.push().json["error"] == "invalid_client"
    bank.added = by_proxy(certificate(key=bank.party.key.private_key, days=(-9, -1)))
    assert bank.push().json["error_description"] == "the certificate is not valid yet, or has expired"


REFUSED: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "no certificate": (by_proxy(None), {}),
    "of another subject": (by_proxy(OTHER), {}),
    "nobody vouches for it": (by_proxy(certificate(), verdict="FAILED:self-signed certificate"), {}),
    "no verdict": (by_proxy(SHOWN, verdict=""), {}),
    "expired": (by_proxy(certificate(by=AUTHORITY, days=(-9, -1))), {}),
    "not valid yet": (by_proxy(certificate(by=AUTHORITY, days=(1, 9))), {}),
    "without the proxy's secret": (by_proxy(SHOWN, secret=""), {}),
    "with another secret": (by_proxy(SHOWN, secret="q" * 43), {}),
    "not a certificate": (by_proxy(SHOWN) | {"Client-Cert": ":AAAA:"}, {}),
    "two certificates": (by_proxy(SHOWN) | {"Client-Cert": f"{by_proxy(OTHER)['Client-Cert']}, {by_proxy(SHOWN)['Client-Cert']}"}, {}),  # noqa: E501
    "without client_id": (by_proxy(SHOWN), {"client_id": LEFT_OUT}),
    "an unknown client": (by_proxy(SHOWN), {"client_id": "nobody"}),
    "a client that signs": (by_proxy(SHOWN), {"client_id": "bank"}),
}  # fmt: skip


@pytest.mark.parametrize("path", ["/oauth/par", "/oauth/token", "/oauth/introspect", "/oauth/revoke"])
@pytest.mark.parametrize(("added", "changes"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_authentication(
    bank: CertifiedParty, path: str, added: dict[str, str], changes: dict[str, Any]
) -> None:
    bank.added = added
    answer = bank.post(path, {"token": "x", "grant_type": "refresh_token", "refresh_token": "x"}, **changes)
    assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")


def test_a_certificate_beside_a_signature_or_a_secret_is_no_second_method(
    world: factories.World, client: FlaskClient
) -> None:
    signing = CertifiedParty(world.party, client, shows=SHOWN)
    assert signing.push().status_code == 201
    row = factories.party(clock.now(), "shop", profile=Profile.LOGIN, method="client_secret_post")
    db.session.commit()
    assert CertifiedParty(row, client, shows=SHOWN).push().status_code == 201


# Bound tokens


def test_a_token_is_bound_to_the_certificate(bank: CertifiedParty, world: factories.World) -> None:
    issued = tokens_for(bank, world.actor)
    assert issued["token_type"] == "Bearer"
    token = issued["access_token"]
    assert bank.read(token).status_code == 200
    told = bank.introspect(token).json
    assert (told["token_type"], told["cnf"]) == ("Bearer", {"x5t#S256": SHOWN.x5t})


WRONG: dict[str, dict[str, str]] = {
    "no certificate": by_proxy(None),
    "no proxy at all": {},
    "another certificate": by_proxy(OTHER),
    "another certificate of the same subject": by_proxy(certificate(by=AUTHORITY)),
    "another certificate of the same key": by_proxy(certificate(by=AUTHORITY, key=SHOWN.key)),
    "the right one, injected": {"Client-Cert": by_proxy(SHOWN)["Client-Cert"], "X-Client-Verify": "SUCCESS"},
    "the right one, with another secret": by_proxy(SHOWN, secret="q" * 43),
}


@pytest.mark.parametrize("path", ["/api/v1/data", "/userinfo", "/oauth/grants/x"])
@pytest.mark.parametrize("added", WRONG.values(), ids=WRONG.keys())
def test_breaks_19_a_token_without_its_certificate(
    bank: CertifiedParty, world: factories.World, added: dict[str, str], path: str
) -> None:
    token = tokens_for(bank, world.actor)["access_token"]
    answer = replace(bank, added=added).read(token, path)
    assert (answer.status_code, answer.json.get("error") or answer.json["code"]) == (401, "invalid_token")
    challenge = answer.headers["WWW-Authenticate"]
    assert "Bearer " in challenge
    assert 'error="invalid_token"' in challenge


def test_a_certificate_is_no_dpop_key(bank: CertifiedParty, world: factories.World) -> None:
    token = tokens_for(bank, world.actor)["access_token"]
    answer = bank.read(token, scheme="DPoP", proof=bank.proof("GET", "/api/v1/data", access_token=token))
    assert (answer.status_code, answer.json["code"]) == (401, "invalid_token")


def test_both_bind(bank: CertifiedParty, world: factories.World) -> None:
    code, _consent = code_for(bank, world.actor)
    issued = bank.token(code, proof=bank.proof("POST", "/oauth/token")).json
    token = issued["access_token"]
    assert issued["token_type"] == "DPoP"
    assert bank.introspect(token).json["cnf"] == {"jkt": bank.jkt, "x5t#S256": SHOWN.x5t}

    def read(shown: Credential | None, scheme: str = "DPoP") -> int:
        proof = bank.proof("GET", "/api/v1/data", access_token=token)
        return replace(bank, shows=shown).read(token, scheme=scheme, proof=proof).status_code

    assert [read(SHOWN), read(None), read(OTHER), read(SHOWN, "Bearer")] == [200, 401, 401, 401]


def test_the_certificate_at_par_binds_the_code(world: factories.World, client: FlaskClient) -> None:
    bank = party(client, "private_key_jwt", tls_client_certificate_bound_access_tokens=True)
    code, _consent = code_for(bank, world.actor)
    refused = replace(bank, shows=OTHER).token(code)
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_grant")
    missing = replace(bank, shows=None).token(code)
    assert (missing.status_code, missing.json["error"]) == (400, "invalid_request")
    assert bank.token(code).status_code == 200, "the code was not used up"


def test_breaks_13_a_refresh_is_bound_to_the_client_and_outlives_its_certificate(
    bank: CertifiedParty, world: factories.World
) -> None:
    refresh = tokens_for(bank, world.actor)["refresh_token"]
    renewed = certificate(by=AUTHORITY)
    token = replace(bank, shows=renewed).refresh(refresh).json["access_token"]
    assert replace(bank, shows=renewed).read(token).status_code == 200
    assert bank.read(token).status_code == 401
    assert replace(bank, shows=OTHER).refresh(refresh).json["error"] == "invalid_client"
    stranger = ThirdParty(world.party, bank.http)
    assert stranger.refresh(refresh).json["error"] == "invalid_grant"


def test_a_certificate_alone_binds_nothing(world: factories.World, client: FlaskClient) -> None:
    bank = party(client, "tls_client_auth", tls_client_auth_subject_dn=SUBJECT)
    code, _consent = code_for(bank, world.actor)
    refused = bank.token(code)
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_request"), "data clients bind by something"
    issued = bank.token(code, proof=bank.proof("POST", "/oauth/token")).json
    assert bank.introspect(issued["access_token"]).json["cnf"] == {"jkt": bank.jkt}


# Addresses and metadata


@pytest.mark.parametrize(("base", "status"), [(ALIAS, 201), (ISSUER, 201), ("http://localhost:8444", 400)])
def test_a_proof_may_name_the_alias(bank: CertifiedParty, base: str, status: int) -> None:
    assert bank.push(proof=bank.proof("POST", "/oauth/par", htu=f"{base}/oauth/par")).status_code == status


@pytest.mark.parametrize("name", ["oauth-authorization-server", "openid-configuration"])
def test_the_metadata_says_it(client: FlaskClient, name: str) -> None:
    said = client.get(f"/.well-known/{name}").json
    assert said["tls_client_certificate_bound_access_tokens"] is True
    assert {"tls_client_auth", "self_signed_tls_client_auth"} <= set(said["token_endpoint_auth_methods_supported"])
    aliases = said["mtls_endpoint_aliases"]
    assert {"token_endpoint", "pushed_authorization_request_endpoint", "introspection_endpoint"} <= aliases.keys()
    for endpoint, url in aliases.items():
        assert url == said[endpoint].replace(ISSUER, ALIAS)
    resource = client.get("/.well-known/oauth-protected-resource").json
    assert resource["tls_client_certificate_bound_access_tokens"] is True
    assert resource["dpop_bound_access_tokens_required"] is False


@pytest.mark.parametrize(
    ("changes", "offered"),
    [
        (dict.fromkeys(SETTINGS, ""), set()),
        ({"client_certificate_verify_header": ""}, {"self_signed_tls_client_auth"}),
    ],
    ids=["off", "without the verdict"],
)
def test_only_what_is_set_up_is_offered_and_works(
    bank: CertifiedParty, settings: Settings, changes: dict[str, str], offered: set[str]
) -> None:
    app = create_app(make_settings(settings.database_url, **(SETTINGS | changes)))
    with app.app_context():
        client = app.test_client()
        said = client.get("/.well-known/openid-configuration").json
        methods = {name for name in said["token_endpoint_auth_methods_supported"] if "tls" in name}
        assert methods == offered
        assert ("mtls_endpoint_aliases" in said) is bool(offered)
        refused = replace(bank, http=client).push()
        assert (refused.status_code, refused.json["error"]) == (401, "invalid_client")
        db.session.remove()
        db.engine.dispose()
