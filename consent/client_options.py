"""What a client may register beyond who it is: the metadata of RFC 7591, OpenID Connect, FAPI and RFC 8705.

Names are the registered ones. A client row keeps those that differ from the default, as one JSON document. What may
be registered is checked here, for forms, files and dynamic registration alike.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Self, get_type_hints
from urllib.parse import urlsplit

from consent.installation import Installation
from consent.keys import ALGORITHMS, KeyUse
from dataspace import jwe
from dataspace.addresses import LOOPBACK_HOSTS, FetchRefused, check_url
from dataspace.jwk import KEY_TYPES

DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"  # RFC 8628
DEFAULT_GRANT_TYPES = ("authorization_code", "refresh_token")
CIBA = "urn:openid:params:grant-type:ciba"  # OpenID Connect CIBA Core 1.0
CLIENT_CREDENTIALS = "client_credentials"  # RFC 6749 section 4.4; here for reads by law and nothing else
GRANT_TYPES = (*DEFAULT_GRANT_TYPES, DEVICE_CODE, CIBA, CLIENT_CREDENTIALS)
EVENT_DELIVERIES = ("push", "poll")  # RFC 8935, RFC 8936
NO_SIGNATURE = "none"  # OpenID Connect lets a client register that its request objects are not signed
MAX_LIST = 20
MAX_TEXT = 200
MAX_URL = 1000
MAX_AGE = 10**9  # seconds
# What a word may be; empty stands for what is not registered.
CHOICES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "application_type": ("web", "native"),
        "subject_type": ("pairwise", "public"),
        "userinfo_signed_response_alg": ALGORITHMS[KeyUse.ID_TOKEN],
        "request_object_signing_alg": (*sorted(KEY_TYPES), NO_SIGNATURE),
        "token_endpoint_auth_signing_alg": tuple(sorted(KEY_TYPES)),
        "authorization_signed_response_alg": ALGORITHMS[KeyUse.TOKENS],
        "introspection_signed_response_alg": ALGORITHMS[KeyUse.TOKENS],
        "data_encrypted_response_alg": tuple(jwe.KEY_TYPES),
        "data_encrypted_response_enc": jwe.CONTENT,
        "consent_events_delivery": EVENT_DELIVERIES,
        "backchannel_token_delivery_mode": ("poll",),
        "backchannel_authentication_request_signing_alg": ("ES256", "EdDSA", "PS256"),
    }
)
# By browsers, never by us; the logo by us, if it can be had (consent.logos), and never by browsers.
OPENED = ("client_uri", "logo_uri", "policy_uri", "tos_uri", "initiate_login_uri")
FETCHED = (
    "sector_identifier_uri",
    "backchannel_logout_uri",
    "request_uris",
    "consent_events_uri",
)  # by us, through the guard
Flaw = tuple[str, str]  # the name of the member, what is wrong with it


@dataclass(frozen=True, kw_only=True)
class ClientOptions:
    """Empty strings and tuples stand for what was not registered. URLs are as given, checked when registered."""

    # OpenID Connect Dynamic Client Registration section 2
    application_type: str = "web"
    grant_types: tuple[str, ...] = DEFAULT_GRANT_TYPES
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
    # What the data API answers is encrypted with it (RFC 7516); our own names, after those of OpenID Connect
    data_encrypted_response_alg: str = ""  # empty: not encrypted
    data_encrypted_response_enc: str = ""
    # CIBA Core section 4
    backchannel_token_delivery_mode: str = ""
    backchannel_authentication_request_signing_alg: str = ""  # empty: signed or not, with any that we accept
    # How it hears what became of a consent (RFC 8417); our own names
    consent_events_delivery: str = ""  # empty: it does not
    consent_events_uri: str = ""  # where they are pushed to
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


KINDS: Mapping[str, Any] = MappingProxyType(
    {name: kind for name, kind in get_type_hints(ClientOptions).items() if name in ClientOptions.__dataclass_fields__}
)


class WrongKind(Exception):
    """A member that is not of its kind. ``flaw``: which, and what it should be."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(*flaw)
        self.flaw = flaw


def parse(unverified: Mapping[str, Any]) -> ClientOptions:
    """The known members of a JSON document, each of its kind; others are left out. Raises WrongKind.

    Null stands for a member that is not there (RFC 7592 section 2.2). Values are for :func:`flaws` to judge.
    """
    known = {name: unverified[name] for name in KINDS if unverified.get(name) is not None}
    for name, value in known.items():
        if not _is_of_kind(value, KINDS[name]):
            raise WrongKind((name, f"must be {_KIND_WORDS[KINDS[name]]}"))
    return ClientOptions.from_document(known)


_KIND_WORDS: Mapping[Any, str] = MappingProxyType(
    {
        str: "a string",
        bool: "true or false",
        int | None: "a whole number",
        tuple[str, ...]: "a list of strings",
    }
)


def _is_of_kind(value: object, kind: Any) -> bool:
    if kind == tuple[str, ...]:
        return isinstance(value, list) and all(isinstance(entry, str) for entry in value)
    if kind == int | None:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, kind)


def flaws(options: ClientOptions, *, here: Installation) -> Iterator[Flaw]:
    """Everything that is wrong with the values. What lies behind sector_identifier_uri is not looked at here."""
    for name, kind in KINDS.items():
        value = getattr(options, name)
        texts = value if kind == tuple[str, ...] else (value,) if kind is str else ()
        limit = MAX_URL if name in OPENED + FETCHED or name == "post_logout_redirect_uris" else MAX_TEXT
        if len(texts) > MAX_LIST or any(not _is_line(text, limit) for text in texts):
            yield name, f"at most {MAX_LIST} entries, each one line of at most {limit} characters"
        elif kind is str and value and name in CHOICES and value not in CHOICES[name]:
            yield name, f"must be one of {', '.join(CHOICES[name])}"
        elif name in OPENED and value and not is_web_address(value, allow_loopback=here.loopback):
            yield name, "must be an https address"
        elif name in FETCHED and any(not _may_be_fetched(url, allow_loopback=here.loopback) for url in texts if url):
            yield name, "must be an https address on port 443 that this service may fetch"
    yield from _pair_flaws(options)
    yield from _grant_flaws(options)
    yield from _return_flaws(options, allow_loopback=here.loopback)
    if options.default_max_age is not None and not 0 <= options.default_max_age <= MAX_AGE:
        yield "default_max_age", "must be seconds, not negative"
    if options.tls_client_certificate_bound_access_tokens and not here.certificates:
        yield "tls_client_certificate_bound_access_tokens", "client certificates are not offered here"


def is_web_address(url: str, *, allow_loopback: bool) -> bool:
    """Whether a URL is one that a browser may be sent to: https, a host, no user name; plain http on the loopback."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if not host or "@" in parts.netloc or "*" in parts.netloc or not re.fullmatch(rf"[!-~]{{1,{MAX_URL}}}", url):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and allow_loopback and host in LOOPBACK_HOSTS)


def _is_line(text: str, limit: int) -> bool:
    return len(text) <= limit and not any(ord(c) < 0x20 or ord(c) == 0x7F for c in text)


def _may_be_fetched(url: str, *, allow_loopback: bool) -> bool:
    try:
        # A request object may be named with the hash of its content (OpenID Connect Core section 6.2).
        check_url(url.partition("#")[0], allow_loopback=allow_loopback)
    except FetchRefused:
        return False
    return True


def _pair_flaws(options: ClientOptions) -> Iterator[Flaw]:
    """What goes together only, or not at all."""
    if options.require_signed_request_object and options.request_object_signing_alg == NO_SIGNATURE:
        yield "request_object_signing_alg", "none is no signature, and require_signed_request_object asks for one"
    if (options.consent_events_delivery == "push") != bool(options.consent_events_uri):
        yield "consent_events_uri", "goes with consent_events_delivery push, and push with it"
    if options.data_encrypted_response_enc and not options.data_encrypted_response_alg:
        yield "data_encrypted_response_enc", "goes with data_encrypted_response_alg"


def _grant_flaws(options: ClientOptions) -> Iterator[Flaw]:
    if not {"authorization_code"} <= set(options.grant_types) <= set(GRANT_TYPES):
        yield "grant_types", f"authorization_code, and what is wanted beside it of {', '.join(GRANT_TYPES)}"
    if (CIBA in options.grant_types) != bool(options.backchannel_token_delivery_mode):
        yield "backchannel_token_delivery_mode", f"goes with the grant type {CIBA}, and that with it"


def _return_flaws(options: ClientOptions, *, allow_loopback: bool) -> Iterator[Flaw]:
    native = options.application_type == "native"
    for uri in options.post_logout_redirect_uris:
        if "#" in uri or not is_web_address(uri, allow_loopback=allow_loopback or native):
            yield "post_logout_redirect_uris", "https addresses without fragment"
            return
