"""ID tokens (OpenID Connect Core section 2): issued with a code of scope ``openid`` and with its refresh tokens."""

import datetime as dt
from typing import Any

from authlib.oidc.core.grants import OpenIDToken
from authlib.oidc.core.util import create_half_hash

from consent import subjects
from consent.history import Registry
from consent.keys import ALGORITHMS, KeyUse
from consent.oauth import identity
from consent.oauth.bindings import Bound
from consent.oauth.forms import FormRequest
from consent.oauth.registered_client import RegisteredClient
from dataspace import jose
from dataspace.identifiers import BlindIndex

LIFE = dt.timedelta(minutes=5)
TYP = "JWT"


def subject(bound: Bound, index: BlindIndex) -> str:
    """Whom the client of a code or token knows the holder as."""
    audience = subjects.audience_of(
        bound.client_id, bound.client_profile, bound.client_redirect_uris, bound.client_options
    )
    return index.pairwise(bound.holder_id, audience)


class IDToken(OpenIDToken):  # type: ignore[misc]
    """Authlib adds it to the token response when the scope has ``openid``; claims and signature are ours."""

    def __init__(self, registry: Registry) -> None:
        super().__init__()
        self.registry = registry

    def encode_id_token(self, token: dict[str, Any], request: FormRequest) -> str:
        """The signed ID token of a token response."""
        held, client = request.authorization_code or request.refresh_token, request.client
        asked = (held.bound.claims or {}).get("id_token", ())  # by name only: what the scope asks is for userinfo
        told = identity.values(asked, held.bound, request.now, registry=self.registry)
        claims = (
            told
            | self._claims(held.bound, request)
            | {
                "at_hash": create_half_hash(token["access_token"], client.id_token_alg).decode(),
            }
        )
        if request.authorization_code and held.bound.nonce:
            claims["nonce"] = held.bound.nonce  # with the code only (section 12.2)
        key = self.registry.keyring.signing_key(KeyUse.ID_TOKEN, request.now, client.id_token_alg)
        return jose.sign(claims, key, typ=TYP)

    def _claims(self, bound: Bound, request: FormRequest) -> dict[str, Any]:
        """Section 2; when and how the person signed in is always told, asked for or not.

        ``sid``: OpenID Connect Back-Channel Logout section 2.1; who reads data has no sessions unless it says so.
        """
        client: RegisteredClient = request.client
        has_sessions = not client.is_data or client.options.backchannel_logout_uri
        session = {"sid": bound.sid} if bound.sid and has_sessions else {}
        return session | {
            "iss": self.registry.issuer,
            "sub": subject(bound, self.registry.index),
            "aud": bound.client_id,
            "iat": int(request.now.timestamp()),
            "exp": int((request.now + LIFE).timestamp()),
            "auth_time": int(bound.auth_time.timestamp()),
            "acr": bound.acr,
            "amr": bound.amr.split(),
        }


def recognise(unverified_id_token: str, *, registry: Registry, now: dt.datetime) -> dict[str, Any]:
    """The claims of an ID token of ours that comes back as a hint; an expired one will do. Raises InvalidToken.

    Whom it was issued to is for the caller to look at: ``aud`` is one string, as in every ID token of ours.
    """
    unverified = jose.read(unverified_id_token)
    key = registry.keyring.verification_key(str(unverified.header.get("kid")), purpose=KeyUse.ID_TOKEN, now=now)
    jose.verify_bytes(unverified, key, algorithms=ALGORITHMS[KeyUse.ID_TOKEN], expected_typ=TYP)
    claims = jose.unverified_claims(unverified)  # the signature holds for them
    if claims.get("iss") != registry.issuer or not {"sub", "aud", "exp", "iat"} <= claims.keys():
        raise jose.InvalidToken("not an ID token of ours")
    return claims
