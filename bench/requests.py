"""Prepared requests: every proof and assertion is signed before the clock starts, each used once."""

import base64
import hashlib
import secrets
import time
from urllib.parse import urlencode

from dataspace import jose, jwk

ISSUER = "http://localhost:8000"
CLIENT = "bench-bank"
VERIFIER = "v" * 43
REDIRECT_URI = "https://bench.example/callback"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def challenge() -> str:
    """The S256 challenge of :data:`VERIFIER` (RFC 7636 section 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")


def proof(key: jwk.SigningKey, public: jwk.Jwk, method: str, url: str, token: str | None = None) -> str:
    """One DPoP proof (RFC 9449 section 4.2)."""
    claims = {"jti": secrets.token_hex(16), "htm": method, "htu": url, "iat": int(time.time())}
    if token is not None:
        digest = hashlib.sha256(token.encode()).digest()
        claims["ath"] = base64.urlsafe_b64encode(digest).decode().rstrip("=")
    return jose.sign(claims, key, typ="dpop+jwt", headers={"jwk": public})


def assertion(key: jwk.SigningKey) -> str:
    """One client assertion (RFC 7523)."""
    now = int(time.time())
    claims = {"iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "jti": secrets.token_hex(16), "iat": now, "exp": now + 240}
    return jose.sign(claims, key, typ=None)


def get(path: str, headers: dict[str, str]) -> bytes:
    """A GET as bytes."""
    return _request("GET", path, headers, b"")


def post(path: str, form: dict[str, str], headers: dict[str, str]) -> bytes:
    """A form POST as bytes."""
    body = urlencode(form).encode()
    return _request("POST", path, {"Content-Type": "application/x-www-form-urlencoded", **headers}, body)


def authenticated(key: jwk.SigningKey, form: dict[str, str]) -> dict[str, str]:
    """A form with a fresh client assertion."""
    return form | {"client_id": CLIENT, "client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion(key)}


def _request(method: str, path: str, headers: dict[str, str], body: bytes) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Accept: application/json"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
