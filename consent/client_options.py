"""What a client may register beyond who it is: the metadata of RFC 7591, OpenID Connect, FAPI and RFC 8705.

Names are the registered ones. A client row keeps those that differ from the default, as one JSON document.
"""

from dataclasses import dataclass, fields
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """Empty strings and tuples stand for what was not registered. URLs are as given, checked when registered."""

    # OpenID Connect Dynamic Client Registration section 2
    client_uri: str = ""
    logo_uri: str = ""
    policy_uri: str = ""
    tos_uri: str = ""
    initiate_login_uri: str = ""
    contacts: tuple[str, ...] = ()
    subject_type: str = "pairwise"
    sector_identifier_uri: str = ""
    userinfo_signed_response_alg: str = ""  # empty: plain JSON
    request_object_signing_alg: str = ""  # empty: any that we accept
    request_uris: tuple[str, ...] = ()
    token_endpoint_auth_signing_alg: str = ""
    default_max_age: int | None = None
    require_auth_time: bool = False
    default_acr_values: tuple[str, ...] = ()
    # RFC 9101 section 10.5, RFC 9126 section 6, JARM section 3, RFC 9701 section 6
    require_signed_request_object: bool = False
    require_pushed_authorization_requests: bool = False
    authorization_signed_response_alg: str = ""
    introspection_signed_response_alg: str = ""
    # RFC 9449 section 5.2, RFC 8705 sections 2.1.2 and 3.4
    dpop_bound_access_tokens: bool = False
    tls_client_certificate_bound_access_tokens: bool = False
    tls_client_auth_subject_dn: str = ""
    tls_client_auth_san_dns: str = ""
    tls_client_auth_san_uri: str = ""
    # OpenID Connect RP-Initiated Logout section 3.1, Back-Channel Logout section 2.2
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str = ""
    backchannel_logout_session_required: bool = False
    # RFC 7591 section 2
    software_id: str = ""
    software_version: str = ""

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> Self:
        """From the JSON form; unknown names raise TypeError."""
        lists = {name: tuple(value) for name, value in document.items() if isinstance(value, list)}
        return cls(**(document | lists))

    def to_document(self) -> dict[str, Any]:
        """What differs from the default, as JSON."""
        said = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}
