"""Values that a hostile program sends: odd texts, odd JSON, and real credentials with something wrong."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from urllib.parse import quote

from hypothesis import strategies as st

from consent.client_options import ClientOptions
from tests.conftest import ISSUER

ROOT = Path(__file__).parent.parent.parent
READ = re.compile(r'(?:form|args|parameters|draft|body|payload)(?:\.get(?:list)?\(|\[)"([\w.-]+)"')
# Every parameter name that the code looks for, and those that it should not fall over.
NAMES = sorted(
    {
        name
        for part in ("consent", "dataspace")
        for path in (ROOT / part).rglob("*.py")
        for name in READ.findall(path.read_text())
    }
    | {
        "response_type",
        "response_mode",
        "redirect_uri",
        "grant_type",
        "code_verifier",
        "refresh_token",
        "token",
        "token_type_hint",
        "client_secret",
        "request",
        "request_uri",
        "registration",
        "claims",
        "id_token_hint",
        "login_hint",
        "ui_locales",
        "acr_values",
        "display",
        "state",
        "nonce",
        "resource",
        "audience",
        "max_age",
        "client_assertion_type",
        "logout_token",
        "post_logout_redirect_uri",
        "_method",
        "csrf_token",
        "code",
        "",
        "client_name",
        "redirect_uris",
        "jwks_uri",
        "grant_types",
        "response_types",
        "token_endpoint_auth_method",
    }
    | {field.name for field in fields(ClientOptions)}
)

# Values


def _nested(depth: int) -> str:
    return "[" * depth + "]" * depth


NASTY: list[str | bytes] = [
    "",
    " ",
    "\x00",
    "a\x00b",
    "\r\nSet-Cookie: a=b",
    "%",
    "%zz",
    "%00",
    "..",
    "../../etc/passwd",
    "'\"\\<script>",
    "🐉" * 30,
    "é" * 300,
    "\u202e",
    "\ufeff",
    "𝟙",
    "١",
    "-1",
    "0",
    "1e999",
    "9" * 19,
    "9" * 5000,
    "NaN",
    "true",
    "null",
    "[]",
    "{}",
    "[{}]",
    "[null]",
    '[{"type": null}]',
    '[{"type": "data_space_access", "purpose": ["loan-review"]}]',
    _nested(3000),
    _nested(9999),
    '{"a":' * 2000 + "1" + "}" * 2000,
    '[{"type": "data_space_access", "purpose": "\\ud800"}]',
    '"\\ud800"',
    "[1e999]",
    '[{"type": "data_space_access", "purpose": "loan-review", "duration": {"days": ' + "9" * 5000 + "}}]",
    '{"id_token": {"auth_time": {"essential": "yes"}}, "userinfo": []}',
    "a" * 20_000,
    "a" * 20_001,
    "a b c",
    "openid " * 400,
    "http://[",
    "http://[::1",
    "https://bank.example/callback#x",
    "https://bank.example\\@evil.example/",
    "//evil.example",
    "https://bank.example:99999/",
    "javascript:alert(1)",
    "urn:ietf:params:oauth:request_uri:",
    "urn:ietf:params:oauth:request_uri:x",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\xc0\x80",
    b"\x80" * 50,
]
ODD_JSON: list[str] = [
    "null",
    "true",
    "0",
    "-1",
    "1e308",
    "1e999",
    "-1e999",
    "NaN",
    "9" * 20,
    "9" * 5000,
    "0.1",
    '""',
    '"\\u0000"',
    '"\\ud800"',
    '"a"',
    "[]",
    "{}",
    '["a","a"]',
    "[[]]",
    '{"a":1}',
    _nested(900),
    _nested(9000),
    f'"{ISSUER}"',
    f'["{ISSUER}"]',
    '"' + "a" * 5000 + '"',
]
HEADER_VALUES = [
    "",
    " ",
    "Bearer",
    "Bearer ",
    "DPoP",
    "DPoP x",
    "Basic",
    "Basic =",
    "Basic Og==",
    "Basic YTo=",
    "Basic " + "A" * 9000,
    "Basic " + base64.b64encode(b"\xff:\xfe").decode(),
    "Basic " + base64.b64encode(b"a%ff:%00").decode(),
    "bearer\ttoken",
    "Digest username=x",
    "a, b",
    "é",
    "\xff",
    "*/*",
    "text/html;q=x",
    "zh-Hans-CN-x-\xe4",
    "application/json",
    "text/html",
    "a.b.c",
    "..",
    "a" * 9000,
]
HEADERS = [
    "Authorization",
    "DPoP",
    "Accept",
    "Accept-Language",
    "Content-Type",
    "Cookie",
    "Origin",
    "Referer",
    "Host",
    "Range",
    "If-None-Match",
    "If-Modified-Since",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-CSRFToken",
    "Content-Encoding",
    "Transfer-Encoding",
    "Content-Length",
    "X-HTTP-Method-Override",
    "Expect",
]
CONTENT_TYPES = [
    "application/x-www-form-urlencoded",
    "application/x-www-form-urlencoded; charset=utf-16",
    "application/json",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "text/plain",
    "application/jwt",
    "",
    "x",
    ";",
    "application/json; =",
]
CLAIMS = [
    "iss",
    "sub",
    "aud",
    "jti",
    "iat",
    "exp",
    "nbf",
    "htm",
    "htu",
    "ath",
    "nonce",
    "client_id",
    "response_type",
    "events",
    "sid",
]
JOSE = ["alg", "typ", "kid", "jwk", "jku", "x5c", "x5u", "crit", "b64", "cty", "enc", "zip"]
ODD_HEADERS = [
    *ODD_JSON,
    '"none"',
    '"None"',
    '"HS256"',
    '"RS256"',
    '"ES256"',
    '"JWT"',
    '"dpop+jwt"',
    '"DEF"',
    '["exp"]',
    '["b64"]',
    "false",
    '{"kty":"oct","k":"AA"}',
    '{"kty":"EC","crv":"P-256","x":"","y":""}',
    '{"kty":"EC","crv":"P-256","x":1,"y":[]}',
    '{"kty":"RSA","n":"","e":""}',
    '{"kty":"RSA","n":"AA","e":"AQ"}',
    '{"kty":"OKP","crv":"Ed25519","x":"AA"}',
    '{"kty":["EC"]}',
    '{"kty":"EC","crv":["P-256"],"x":"AA","y":"AA"}',
    '"../../../dev/null"',
]


@dataclass(frozen=True)
class Real:
    """A value that only the application under test has. ``twist`` makes something wrong of it."""

    what: str
    claims: tuple[tuple[str, str], ...] = ()  # of a JWT: name and JSON text, replacing the true one
    headers: tuple[tuple[str, str], ...] = ()
    twist: str = "none"


TWISTS: dict[str, Callable[[str], str | bytes]] = {
    "none": lambda text: text,
    "cut": lambda text: text[: len(text) // 2],
    "twice": lambda text: text + text,
    "upper": str.upper,
    "nul": lambda text: text + "\x00",
    "space": lambda text: f" {text} ",
    "bytes": lambda text: text.encode() + b"\xff",
    "dots": lambda text: text.replace(".", "..", 1),
    "unsigned": lambda text: text.rpartition(".")[0] + ".",
    "escaped": lambda text: quote(text, safe=""),
    "list": lambda text: json.dumps([text]),
}
JWTS = ["assertion", "proof", "proof_with_token", "request_object", "other_jwt"]
REALS = [
    *JWTS,
    "client_id",
    "login_id",
    "secret",
    "redirect_uri",
    "challenge",
    "verifier",
    "details",
    "access_token",
    "refresh_token",
    "login_access_token",
    "login_refresh_token",
    "code",
    "login_code",
    "request_uri",
    "handle",
    "data_handle",
    "consent_id",
    "item_id",
    "assertion_type",
    "person_key",
    "mandate_key",
    "refresh",
    "code_type",
    "code_word",
    "openid",
    "s256",
    "agree",
    "yesterday",
]


@st.composite
def reals(draw: st.DrawFn, what: str | None = None) -> Real:
    """A real value, often a little wrong; JWTs are signed by the right key over odd claims."""
    chosen = what or draw(st.sampled_from(REALS))
    claims: list[tuple[str, str]] = []
    headers: list[tuple[str, str]] = []
    if chosen in JWTS and draw(st.booleans()):
        claims = draw(st.lists(st.tuples(st.sampled_from(CLAIMS), st.sampled_from(ODD_JSON)), max_size=2))
        headers = draw(st.lists(st.tuples(st.sampled_from(JOSE), st.sampled_from(ODD_HEADERS)), max_size=2))
    twist = draw(st.sampled_from(["none"] * 12 + list(TWISTS)))
    return Real(chosen, tuple(claims), tuple(headers), twist)


values = st.one_of(
    reals(), st.sampled_from(NASTY), st.text(st.characters(codec="utf-8"), max_size=40), st.binary(max_size=20)
)
