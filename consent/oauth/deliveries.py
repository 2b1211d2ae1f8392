"""What leaves the data API as a whole, signed by us and encrypted to its recipient, or one of both (RFC 7515, 7516).

The key is that of consent records: what was delivered can be proved for as long as somebody keeps it.
"""

import datetime as dt
from typing import Any

import orjson

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
    """The client has registered for encryption and has no key for it that can be had."""

    code = "no_encryption_key"
    sentence = "Your key for encryption could not be found; nothing was read."
    status = 400


class NotEncryptable(NoRecipientKey):
    """The request asks for encryption, to a client that has no key for it (RFC 9110 section 15.5.7)."""

    sentence = "You have no key for encryption. Register one whose use is enc, or accept another form of answer."
    status = 406


class Packer:
    """Makes one token of a delivery. What it needs of the recipient is found before anything is read."""

    def __init__(
        self, permission: Permission, now: dt.datetime, *, signed: bool = True, encrypted: bool = False,
        registry: Registry, keys: ClientKeys,
    ) -> None:  # fmt: skip
        """``encrypted``: the request asks for it, or it is as the client has registered. Raises NoRecipientKey."""
        self._permission, self._now, self._registry, self._signed = permission, now, registry, signed
        self._to = _recipient(permission, keys, now) if encrypted or permission.encryption is not None else None

    def pack(self, body: dict[str, Any]) -> str:
        """A compact JWS of the body, a JWE of the body, or a JWE of the JWS."""
        if self._to is None:
            return self._sign(body)
        key, alg, enc = self._to
        content, cty = (self._sign(body).encode(), "JWT") if self._signed else (orjson.dumps(body), "json")
        return jwe.encrypt(content, key, alg=alg, enc=enc, cty=cty)

    def _sign(self, body: dict[str, Any]) -> str:
        """No ``sub`` and no ``exp``: it is no token that grants anything."""
        claims = {
            "iss": self._registry.issuer,
            "aud": self._permission.client_id,
            "iat": int(self._now.timestamp()),
            "jti": body["delivery_id"],
            "delivery": body,
        }
        return jose.sign(claims, self._registry.keyring.signing_key(KeyUse.RECORDS, self._now), typ=TYP)


def _recipient(permission: Permission, keys: ClientKeys, now: dt.datetime) -> tuple[jose.Jwk, str, str]:
    """The key to encrypt to, and how: as is registered, else as suits the first key that can be used."""
    without = NoRecipientKey if permission.encryption is not None else NotEncryptable
    client = registered_client.find(permission.client_id)
    if client is None:
        raise without
    try:
        found = keys.for_encryption(client, now)
        if permission.encryption is not None:
            alg, enc = permission.encryption
            return jwe.choose(found, alg), alg, enc
        return *jwe.choose_any(found), jwe.CONTENT[0]
    except (InvalidClient, InvalidToken) as error:
        raise without(error.detail) from None
