"""Metadata: the documents are well-formed, agree with each other, and every address in them answers."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc.discovery import OpenIDProviderMetadata
from flask.testing import FlaskClient

from consent.clients import CERTIFICATE_METHODS, AuthMethod, Profile
from dataspace import clock, jwk
from dataspace.db import db
from tests import factories
from tests.conftest import ISSUER, make_settings
from tests.consent.third_party import ThirdParty, tokens_for
from wsgi import create_app

pytestmark = pytest.mark.wire


def document(client: FlaskClient, name: str) -> dict[str, Any]:
    answer = client.get(f"/.well-known/{name}")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert "max-age" in answer.headers["Cache-Control"]
    found: dict[str, Any] = answer.json
    return found


def test_both_documents_are_valid_and_agree(client: FlaskClient) -> None:
    oauth, openid = document(client, "oauth-authorization-server"), document(client, "openid-configuration")
    AuthorizationServerMetadata(oauth).validate()
    OpenIDProviderMetadata(openid).validate()
    assert openid.items() >= oauth.items()
    assert oauth["issuer"] == ISSUER


def test_every_address_answers(world: factories.World, client: FlaskClient) -> None:
    for name, value in document(client, "openid-configuration").items():
        if name.endswith("_endpoint") or name == "jwks_uri":
            assert value.startswith(ISSUER)
            assert client.options(urlsplit(value).path).status_code == 200, name
            assert client.get(urlsplit(value).path).status_code != 404, name


@pytest.mark.parametrize("method", [method for method in AuthMethod if method not in CERTIFICATE_METHODS])
def test_every_client_authentication_method_works(world: factories.World, client: FlaskClient, method: str) -> None:
    metadata = document(client, "oauth-authorization-server")
    assert method in metadata["token_endpoint_auth_methods_supported"]
    party = factories.party(clock.now(), "shop", profile=Profile.LOGIN, method=method)
    db.session.commit()
    assert "id_token" in tokens_for(ThirdParty(party, client), world.actor)


def test_the_published_keys_are_public_and_named(world: factories.World, client: FlaskClient) -> None:
    keys = client.get("/oauth/jwks").json["keys"]
    assert len({key["kid"] for key in keys}) == len(keys)
    assert not any(jwk.PRIVATE_MEMBERS & key.keys() for key in keys)
    wanted = document(client, "openid-configuration")["id_token_signing_alg_values_supported"]
    assert set(wanted) <= {key["alg"] for key in keys}


def test_the_resource_points_to_its_server(client: FlaskClient) -> None:
    resource = document(client, "oauth-protected-resource")
    assert resource["authorization_servers"] == [ISSUER]
    assert resource["resource"] == ISSUER
    assert resource["dpop_bound_access_tokens_required"] is True


def test_userinfo_challenges(world: factories.World, client: FlaskClient) -> None:
    party = factories.party(clock.now(), "shop", profile=Profile.LOGIN, method="client_secret_basic")
    db.session.commit()
    shop = ThirdParty(party, client)
    token = tokens_for(shop, world.actor, scope="openid")["access_token"]
    anonymous = client.get("/userinfo")
    assert (anonymous.status_code, anonymous.json) == (401, {})
    assert "error=" not in anonymous.headers["WWW-Authenticate"]
    wrong = client.get("/userinfo", headers={"Authorization": "Bearer nonsense"})
    assert (wrong.status_code, wrong.json["error"]) == (401, "invalid_token")
    assert 'error="invalid_token"' in wrong.headers["WWW-Authenticate"]
    assert list(client.post("/userinfo", data={"access_token": token}).json) == ["sub"]
    assert client.post("/userinfo", headers={"Authorization": f"bearer {token}"}).status_code == 200
    both = client.post("/userinfo", data={"access_token": token}, headers={"Authorization": f"Bearer {token}"})
    assert (both.status_code, both.json["error"]) == (400, "invalid_request")


def test_userinfo_needs_openid(world: factories.World, client: FlaskClient) -> None:
    bank = ThirdParty(world.party, client)
    token = tokens_for(bank, world.actor)["access_token"]
    headers = {"Authorization": f"DPoP {token}", "DPoP": bank.proof("GET", "/userinfo", access_token=token)}
    answer = client.get("/userinfo", headers=headers)
    assert (answer.status_code, answer.json["error"]) == (403, "insufficient_scope")


# RFC 8414, OpenID Connect Discovery, and the registrations of the specifications that we speak.
REGISTERED = {
    "issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "registration_endpoint", "scopes_supported",
    "response_types_supported", "response_modes_supported", "grant_types_supported", "service_documentation",
    "token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported",
    "revocation_endpoint", "revocation_endpoint_auth_methods_supported",
    "revocation_endpoint_auth_signing_alg_values_supported", "introspection_endpoint",
    "introspection_endpoint_auth_methods_supported", "introspection_endpoint_auth_signing_alg_values_supported",
    "code_challenge_methods_supported", "op_policy_uri", "op_tos_uri",
    "userinfo_endpoint", "acr_values_supported", "subject_types_supported", "id_token_signing_alg_values_supported",
    "userinfo_signing_alg_values_supported", "request_object_signing_alg_values_supported", "display_values_supported",
    "claim_types_supported", "claims_supported", "claims_locales_supported", "ui_locales_supported",
    "claims_parameter_supported", "request_parameter_supported", "request_uri_parameter_supported",
    "require_request_uri_registration", "prompt_values_supported",
    "mtls_endpoint_aliases", "tls_client_certificate_bound_access_tokens",  # RFC 8705
    "require_signed_request_object",  # RFC 9101
    "device_authorization_endpoint",  # RFC 8628
    "backchannel_authentication_endpoint", "backchannel_token_delivery_modes_supported",  # CIBA Core section 4
    "backchannel_authentication_request_signing_alg_values_supported", "backchannel_user_code_parameter_supported",
    "pushed_authorization_request_endpoint", "require_pushed_authorization_requests",  # RFC 9126
    "authorization_response_iss_parameter_supported",  # RFC 9207
    "authorization_details_types_supported",  # RFC 9396
    "dpop_signing_alg_values_supported",  # RFC 9449
    "introspection_signing_alg_values_supported",  # RFC 9701
    "protected_resources",  # RFC 9728
    "authorization_signing_alg_values_supported",  # JARM
    "end_session_endpoint", "backchannel_logout_supported", "backchannel_logout_session_supported",
    "frontchannel_logout_supported", "frontchannel_logout_session_supported",
    "grant_management_endpoint", "grant_management_actions_supported", "grant_management_action_required",
}  # fmt: skip


@pytest.mark.parametrize("name", ["oauth-authorization-server", "openid-configuration"])
def test_breaks_15_every_member_is_a_registered_one_and_has_a_value(client: FlaskClient, name: str) -> None:
    found = document(client, name)
    assert set(found) <= REGISTERED
    assert not [member for member, value in found.items() if value in (None, "", [], {})]


def test_breaks_15_locales_are_language_tags(client: FlaskClient) -> None:
    for tag in document(client, "openid-configuration")["ui_locales_supported"]:
        assert re.fullmatch(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-[A-Z]{2})?", tag), tag


def test_breaks_15_addresses_are_https_behind_a_proxy(database_url: str) -> None:
    """The issuer is a setting: what the proxy or a stranger says of host and scheme changes nothing."""
    issuer = "https://as.example"
    app = create_app(make_settings(database_url, mode="production", issuer=issuer, fetch_loopback=False))
    headers = {"Host": "10.0.0.7:8000", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
    for name in ("oauth-authorization-server", "openid-configuration"):
        found = app.test_client().get(f"/.well-known/{name}", headers=headers).json
        addresses = [v for n, v in found.items() if n.endswith(("_endpoint", "_uri")) or n == "issuer"]
        assert len(addresses) > 8
        assert all(address == issuer or address.startswith(f"{issuer}/") for address in addresses)
