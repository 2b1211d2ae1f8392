"""Certificates as strangers read them: with a published library for SD-JWT, a second one for JOSE, and our own eyes."""

import base64
import json
import zlib
from typing import Any

from flask.testing import FlaskClient
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS
from sd_jwt.verifier import SDJWTVerifier

VALID, INVALID, SUSPENDED = 0, 1, 2


def key_of(http: FlaskClient, header: dict[str, Any]) -> JWK:
    """The issuer's key by its kid, found the way that SD-JWT VC says."""
    issuer = http.get("/.well-known/jwt-vc-issuer").json
    assert issuer == {"issuer": "http://localhost:8000", "jwks_uri": "http://localhost:8000/certificates/keys"}
    keys = http.get("/certificates/keys").json["keys"]
    (found,) = [key for key in keys if key["kid"] == header["kid"]]
    return JWK.from_json(json.dumps(found))


def read(http: FlaskClient, text: str, **binding: str) -> dict[str, Any]:
    """What a certificate says and shows, by the library. Raises what the library raises."""
    verifier = SDJWTVerifier(text, lambda _issuer, header: key_of(http, header), **binding)
    found: dict[str, Any] = verifier.get_verified_payload()
    return found


def header_of(text: str) -> dict[str, Any]:
    """The header of a token, unverified."""
    first = text.partition(".")[0]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    return found


def status_claims(http: FlaskClient, uri: str) -> dict[str, Any]:
    """What a status list token says, its signature checked by a second JOSE library."""
    answer = http.get(uri.removeprefix("http://localhost:8000"))
    assert answer.status_code == 200, answer.text
    assert answer.mimetype == "application/statuslist+jwt"
    token = JWS()
    token.deserialize(answer.text)
    token.verify(key_of(http, header_of(answer.text)))
    assert json.loads(token.objects["protected"])["typ"] == "statuslist+jwt"
    found: dict[str, Any] = json.loads(token.payload)
    return found


def status_of(http: FlaskClient, claims: dict[str, Any]) -> int:
    """The status of a certificate as the draft says to find it (sections 4.1, 5.1 and 8.3)."""
    place = claims["status"]["status_list"]
    listed = status_claims(http, place["uri"])
    assert listed["sub"] == place["uri"]
    packed = listed["status_list"]["lst"]
    values = zlib.decompress(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
    bits, index = listed["status_list"]["bits"], place["idx"]
    assert bits == 2
    return (values[index * bits // 8] >> (index * bits % 8)) & (2**bits - 1)
