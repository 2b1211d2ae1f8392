"""What this server says about itself (RFC 8414, OpenID Connect Discovery, RFC 9728): nothing that it does not do."""

from typing import Any

from consent import claims, statutory_terms, subjects
from consent.client_options import CHOICES, GRANT_TYPES
from consent.clients import CERTIFICATE_METHODS, AuthMethod, offered_methods
from consent.installation import Installation
from consent.keys import ALGORITHMS as KEY_ALGORITHMS
from consent.keys import KeyUse
from consent.oauth import (
    client_auth,
    dpop,
    grant_management,
    registered_client,
    registration,
    request_checks,
    request_objects,
    security_events,
)
from consent.oauth.response_modes import SIGNING_ALGORITHMS, ResponseMode
from consent.terms import SCHEMA, TYPE
from dataspace.delivery import schema_address
from dataspace.settings import Settings
from dataspace.signins import ACR_PASSKEY

EVENTS_PATH = "/.well-known/consent-events"
SCHEMA_PATH = f"/.well-known/authorization-details/{TYPE}"
# The types of authorization_details, each with the very schema by which its requests are judged.
SCHEMAS = {TYPE: SCHEMA, statutory_terms.TYPE: statutory_terms.SCHEMA}


def authorization_server(issuer: str) -> dict[str, Any]:
    """RFC 8414 section 2, with RFC 9126, 9207, 9396, 9449."""
    methods = [method.value for method in AuthMethod if method not in CERTIFICATE_METHODS]
    algorithms = sorted(client_auth.LOGIN_ALGORITHMS)
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "pushed_authorization_request_endpoint": f"{issuer}/oauth/par",
        "device_authorization_endpoint": f"{issuer}/oauth/device_authorization",
        "backchannel_authentication_endpoint": f"{issuer}/oauth/backchannel",
        "backchannel_token_delivery_modes_supported": list(CHOICES["backchannel_token_delivery_mode"]),
        "backchannel_authentication_request_signing_alg_values_supported": list(
            CHOICES["backchannel_authentication_request_signing_alg"]
        ),
        "backchannel_user_code_parameter_supported": False,
        "introspection_endpoint": f"{issuer}/oauth/introspect",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "registration_endpoint": f"{issuer}{registration.PATH}",  # with an initial access token, or open by setting
        "jwks_uri": f"{issuer}/oauth/jwks",
        "response_types_supported": list(registered_client.RESPONSE_TYPES),
        "response_modes_supported": [mode.value for mode in ResponseMode],
        "grant_types_supported": list(GRANT_TYPES),
        "scopes_supported": _scopes(),
        "code_challenge_methods_supported": ["S256"],
        "require_pushed_authorization_requests": False,  # required of data clients, not of sign-in
        "authorization_response_iss_parameter_supported": True,
        "authorization_details_types_supported": list(SCHEMAS),
        "protected_resources": [issuer],
        "grant_management_endpoint": f"{issuer}/oauth/grants",
        "grant_management_actions_supported": list(grant_management.ACTIONS),
        "grant_management_action_required": False,
        "request_parameter_supported": True,
        "request_uri_parameter_supported": True,
        "require_request_uri_registration": True,
        "request_object_signing_alg_values_supported": list(request_objects.ALGORITHMS),
        "require_signed_request_object": False,  # required of clients that have registered it
        "authorization_signing_alg_values_supported": list(SIGNING_ALGORITHMS),
        "introspection_signing_alg_values_supported": list(KEY_ALGORITHMS[KeyUse.TOKENS]),
        "dpop_signing_alg_values_supported": sorted(dpop.ALGORITHMS),
        **{
            f"{endpoint}_endpoint_{what}": values
            for endpoint in ("token", "introspection", "revocation")
            for what, values in (
                ("auth_methods_supported", methods),
                ("auth_signing_alg_values_supported", algorithms),
            )
        },
    }


def _scopes() -> list[str]:
    return sorted({scope for scopes in request_checks.SCOPES.values() for scope in scopes})


def openid_provider(issuer: str) -> dict[str, Any]:
    """OpenID Connect Discovery section 3."""
    return authorization_server(issuer) | {
        "userinfo_endpoint": f"{issuer}/userinfo",
        "end_session_endpoint": f"{issuer}/oauth/logout",
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "subject_types_supported": list(subjects.TYPES),
        "id_token_signing_alg_values_supported": list(KEY_ALGORITHMS[KeyUse.ID_TOKEN]),
        "claims_supported": [*claims.ALWAYS, "nonce", "sid", *claims.OFFERED],
        "claim_types_supported": ["normal"],
        "userinfo_signing_alg_values_supported": list(KEY_ALGORITHMS[KeyUse.ID_TOKEN]),
        "display_values_supported": ["page", "popup", "touch"],
        "prompt_values_supported": list(request_checks.PROMPTS),
        "acr_values_supported": [ACR_PASSKEY],
        "ui_locales_supported": ["zh-Hans", "zh-Hant", "en"],
        "claims_parameter_supported": True,
    }


# The endpoints that a client calls itself (RFC 8705 section 5).
ALIASED = (
    "token_endpoint",
    "pushed_authorization_request_endpoint",
    "device_authorization_endpoint",
    "backchannel_authentication_endpoint",
    "introspection_endpoint",
    "revocation_endpoint",
    "userinfo_endpoint",
    "grant_management_endpoint",
)


def with_certificates(document: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """What the settings add: methods, aliases and bound tokens, where a proxy asks for certificates (RFC 8705)."""
    if not settings.mtls_issuer:
        return document
    methods = [method.value for method in offered_methods(Installation.of(settings))]
    aliases = {
        name: settings.mtls_issuer + document[name].removeprefix(settings.issuer)
        for name in ALIASED
        if name in document
    }
    return (
        document
        | {name: methods for name in document if name.endswith("_endpoint_auth_methods_supported")}
        | {"mtls_endpoint_aliases": aliases, "tls_client_certificate_bound_access_tokens": True}
    )


def authorization_details_schema(kind: str, issuer: str) -> dict[str, Any] | None:
    """The schema of a type under its public name; None when there is no such type."""
    if kind not in SCHEMAS:
        return None
    return {"$id": f"{issuer}{SCHEMA_PATH.removesuffix(TYPE)}{kind}", **SCHEMAS[kind]}


def consent_events(issuer: str) -> dict[str, Any]:
    """How clients hear what became of a consent; a document of our own, as no specification has a place for it."""
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/oauth/jwks",
        "delivery_methods_supported": ["urn:ietf:rfc:8935", "urn:ietf:rfc:8936"],
        "poll_endpoint": f"{issuer}{security_events.PATH}",
        "events_supported": security_events.event_uris(issuer),
    }


def protected_resource(settings: Settings) -> dict[str, Any]:
    """The data API (RFC 9728 section 2): one resource, read with bound tokens only."""
    issuer, by_certificate = settings.issuer, bool(settings.mtls_issuer)
    return {
        "resource": issuer,
        "resource_name": "Data space",
        "resource_name#zh-Hans": "数字空间",
        "resource_name#zh-Hant": "數字空間",
        # What opens something here: offline_access is between the client and the authorization server.
        "scopes_supported": [scope for scope in _scopes() if scope != "offline_access"],
        "authorization_servers": [issuer],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": sorted(dpop.ALGORITHMS),
        "dpop_bound_access_tokens_required": not by_certificate,
        "tls_client_certificate_bound_access_tokens": by_certificate,
        "resource_signing_alg_values_supported": list(KEY_ALGORITHMS[KeyUse.RECORDS]),
        "authorization_details_types_supported": list(SCHEMAS),
        # Ours (RFC 9728 section 2 allows more): where to find what the values of an item look like (RFC 6570).
        "item_schema_uri_template": issuer + schema_address("{item}", "{item_version}"),
    }
