"""A client says that it has deleted what it received under a consent: a JWT of its own, signed with its own key.

The signature is the authentication and the proof in one: whoever doubts later reads what the client has signed. The
first statement stays; whoever sends another gets the answer of the first.
"""

import datetime as dt
from typing import Any, TypeGuard

from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError

from consent import deletions
from consent.clients import Standing
from consent.deletions import SignedStatement
from consent.history import Registry
from consent.oauth import client_auth, registered_client
from consent.oauth.client_auth import ClientKeys
from consent.oauth.errors import InvalidGrantIdError, plain
from dataspace import jose
from dataspace.errors import Conflict, NotFound

PATH = "/oauth/deletions"
TYP = "deletion-statement+jwt"
MEDIA_TYPE = f"application/{TYP}"
MAX_BYTES = 8192


def accept(body: bytes, now: dt.datetime, *, keys: ClientKeys, registry: Registry) -> dict[str, Any]:
    """Keep a statement: a compact JWS with iss (the client), aud (the issuer), iat, grant_id, deleted_at (seconds).

    Raises InvalidRequestError, InvalidClientError, InvalidGrantIdError (none of this client, or it goes on).
    """
    if len(body) > MAX_BYTES:
        raise InvalidRequestError("the statement is too long")
    stated = _verified(body.decode("ascii", "replace").strip(), now, keys=keys, issuer=registry.issuer)
    try:
        deletion = deletions.confirm(stated, now, registry=registry)
    except NotFound:
        raise InvalidGrantIdError("grant_id is not a grant of this client") from None
    except Conflict:
        raise InvalidGrantIdError("the grant has not ended: give it back first") from None
    confirmed_at = int((deletion.confirmed_at or now).timestamp())
    return {"grant_id": stated.consent_id, "confirmed_at": confirmed_at}


def _verified(text: str, now: dt.datetime, *, keys: ClientKeys, issuer: str) -> SignedStatement:
    try:
        unverified = jose.read(text)
        unverified_issuer = jose.unverified_claims(unverified).get("iss")
        client = registered_client.find(unverified_issuer) if _is_id(unverified_issuer) else None
        if client is None or client.standing == Standing.DELETED:
            raise InvalidClientError("unknown client", status_code=401)
        verified = jose.verify(
            unverified,
            keys.of(client, kid=unverified.header.get("kid"), now=now),
            algorithms=client_auth.ALGORITHMS,
            expected_typ=TYP,
            expected_iss=client.client_id,
            expected_aud=issuer,
            now=now,
            leeway=client_auth.SKEW,
            required=("iss", "aud", "iat", "grant_id", "deleted_at"),
        )
        deleted_at = dt.datetime.fromtimestamp(jose.numeric_date(verified.claims, "deleted_at"), dt.UTC)
    except (jose.InvalidToken, client_auth.InvalidClient) as error:
        raise InvalidRequestError(plain(f"the statement: {error.detail}")) from None
    grant_id = verified.claims["grant_id"]
    if not _is_id(grant_id):
        raise InvalidRequestError("grant_id is not one")
    if deleted_at > now + client_auth.SKEW:
        raise InvalidRequestError("deleted_at is in the future")
    return SignedStatement(client_id=client.client_id, consent_id=grant_id, deleted_at=deleted_at, signed=text)


def _is_id(value: object) -> TypeGuard[str]:
    """Whether it can be the name of a client or of a grant: nothing else is looked up."""
    return isinstance(value, str) and 0 < len(value) <= 80 and value.isascii() and value.isprintable()
