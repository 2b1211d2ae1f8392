"""ID tokens (OpenID Connect Core section 2), issued with the code of a sign-in or of a data request with ``openid``."""

import datetime as dt
from typing import Any

from authlib.oidc.core.grants import OpenIDCode
from authlib.oidc.core.util import create_half_hash

from consent.keys import KeyUse
from consent.lifecycle import Registry
from consent.oauth.forms import FormRequest
from consent.oauth.tokens import Bound
from dataspace import jose
from dataspace.identifiers import BlindIndex

LIFE = dt.timedelta(minutes=5)


def subject(bound: Bound, index: BlindIndex) -> str:
    """Who a client knows the holder as: pairwise, the same in ID tokens, userinfo, introspection and the consent."""
    return index.pairwise(bound.holder_id, bound.client_id)


class IDToken(OpenIDCode):  # type: ignore[misc]
    """Authlib adds it to the token response when the scope has ``openid``; the signature is ours."""

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self.registry = registry

    def exists_nonce(self, nonce: str, request: Any) -> bool:  # noqa: ARG002 - Authlib's signature
        """Nonces are for the client to check (OpenID Connect Core section 15.5.2); we keep none."""
        return False

    def encode_id_token(self, token: dict[str, Any], request: FormRequest) -> str:
        """The signed ID token of a token response."""
        code, client = request.authorization_code, request.client
        claims = {
            "iss": self.registry.issuer,
            "sub": subject(code.bound, self.registry.index),
            "aud": client.client_id,
            "iat": int(request.now.timestamp()),
            "exp": int((request.now + LIFE).timestamp()),
            **self.get_authorization_code_claims(code),
            "at_hash": create_half_hash(token["access_token"], client.id_token_alg).decode(),
        }
        key = self.registry.keyring.signing_key(KeyUse.ID_TOKEN, request.now, client.id_token_alg)
        return jose.sign(claims, key, typ="JWT")
