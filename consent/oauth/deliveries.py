"""What leaves the data API as a whole, signed by us and, to a client that registered so, encrypted (RFC 7515, 7516).

The key is that of consent records: what was delivered can be proved for as long as somebody keeps it.
"""

import datetime as dt
from typing import Any

from consent.history import Registry
from consent.keys import KeyUse
from consent.oauth import registered_client
from consent.oauth.client_auth import ClientKeys, InvalidClient
from dataspace import jose, jwe
from dataspace.errors import DomainError
from dataspace.jwk import InvalidToken
from dataspace.permission import Permission

TYP = "delivery+jwt"


class NoRecipientKey(DomainError):
    """The client asked for encryption and has no key for it that can be had."""

    code = "no_encryption_key"
    sentence = "Your key for encryption could not be found; nothing was read."
    status = 400


class Packer:
    """Makes one token of a delivery. What it needs of the recipient is found before anything is read."""

    def __init__(self, permission: Permission, now: dt.datetime, *, registry: Registry, keys: ClientKeys) -> None:
        """Raises NoRecipientKey."""
        self._permission, self._now, self._registry = permission, now, registry
        self._key = _key_of(permission, keys, now) if permission.encryption else None

    def pack(self, body: dict[str, Any]) -> str:
        """Compact JWS; a JWE around it for a client that registered so.

        No ``sub`` and no ``exp``: it is no token that grants anything.
        """
        permission = self._permission
        claims = {
            "iss": self._registry.issuer,
            "aud": permission.client_id,
            "iat": int(self._now.timestamp()),
            "jti": body["delivery_id"],
            "delivery": body,
        }
        signed = jose.sign(claims, self._registry.keyring.signing_key(KeyUse.RECORDS, self._now), typ=TYP)
        if permission.encryption is None or self._key is None:
            return signed
        alg, enc = permission.encryption
        return jwe.encrypt(signed, self._key, alg=alg, enc=enc)


def _key_of(permission: Permission, keys: ClientKeys, now: dt.datetime) -> jose.Jwk:
    client = registered_client.find(permission.client_id)
    if client is None or permission.encryption is None:
        raise NoRecipientKey
    try:
        return jwe.choose(keys.for_encryption(client, now), permission.encryption[0])
    except (InvalidClient, InvalidToken) as error:
        raise NoRecipientKey(error.detail) from None
