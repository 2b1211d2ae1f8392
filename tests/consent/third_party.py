"""A third party that speaks HTTP to the OAuth endpoints, and can be told to get any part of it wrong."""

import base64
import datetime as dt
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent import lifecycle
from consent.documents import Choices
from consent.oauth import answers, par
from consent.oauth.client_auth import ASSERTION_TYPE
from consent.records import Consent
from dataspace import clock, jose, jwk
from dataspace.db import db
from dataspace.mandates import Actor
from tests import factories
from tests.conftest import ISSUER

LEFT_OUT: Any = object()
DETAILS = [{"type": "data_space_access", "purpose": "loan-review"}]


def challenge(verifier: str) -> str:
    """RFC 7636 section 4.2."""
    return jwk.b64encode(hashlib.sha256(verifier.encode()).digest())


def proof_key() -> jwk.SigningKey:
    """A key for DPoP proofs."""
    return jwk.SigningKey(kid=None, alg="ES256", private_key=jwk.generate_key("ES256"))


@dataclass
class ThirdParty:
    """``changes`` in every method replace or, as LEFT_OUT, remove what is sent."""

    party: factories.Party
    http: FlaskClient
    proof_key: jwk.SigningKey = field(default_factory=proof_key)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    def __post_init__(self) -> None:
        registered = self.party.client
        self.client_id = registered.client_id
        self.method = registered.token_endpoint_auth_method
        self.reads_data = registered.profile == "data"

    @property
    def jkt(self) -> str:
        return jwk.thumbprint(jwk.public_jwk(self.proof_key.private_key))

    def registers(self, **options: Any) -> None:
        """Metadata of :class:`consent.client_options.ClientOptions` beside what is registered already."""
        self.party.client.options = self.party.client.options | options
        db.session.commit()

    def read_response(self, signed: str) -> dict[str, Any]:
        """The claims of a signed response (JARM section 4), checked with the published keys."""
        keys = self.http.get("/oauth/jwks").json["keys"]
        verified = jose.verify(
            signed, keys, algorithms=jose.ASYMMETRIC, expected_typ=None, expected_iss=ISSUER,
            expected_aud=self.client_id, now=clock.now(), required=("exp",),
        )  # fmt: skip
        return verified.claims

    # Credentials

    def assertion(self, *, key: jwk.SigningKey | None = None, typ: str = "JWT", **changes: Any) -> str:
        """A client assertion (RFC 7523)."""
        now = int(clock.now().timestamp())
        claims = {
            "iss": self.client_id, "sub": self.client_id, "aud": ISSUER, "jti": secrets.token_hex(8),
            "iat": now, "exp": now + 60,
        }  # fmt: skip
        return jose.sign(_changed(claims, changes), key or self.party.key, typ=typ)

    def proof(
        self,
        method: str,
        path: str,
        *,
        access_token: str | None = None,
        key: jwk.SigningKey | None = None,
        **changes: Any,
    ) -> str:
        """A DPoP proof (RFC 9449)."""
        signing = key or self.proof_key
        claims = {
            "jti": secrets.token_hex(8), "htm": method, "htu": ISSUER + path, "iat": int(clock.now().timestamp()),
        }  # fmt: skip
        if access_token:
            claims["ath"] = jwk.b64encode(hashlib.sha256(access_token.encode()).digest())
        header = {"jwk": jwk.public_jwk(signing.private_key)}
        return jose.sign(_changed(claims, changes), signing, typ="dpop+jwt", headers=header)

    def credentials(self) -> dict[str, str]:
        """What authenticates the client in a form."""
        if self.method == "client_secret_post":
            return {"client_id": self.client_id, "client_secret": self.party.secret or ""}
        if self.method == "client_secret_basic":
            return {}
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": self.assertion()}

    def headers(self, path: str, *, proof: Any = None) -> dict[str, str]:
        """Basic authentication for a client with a secret, a proof for a data client unless it is LEFT_OUT."""
        headers = {}
        if self.method == "client_secret_basic":
            pair = f"{self.client_id}:{self.party.secret}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        if proof is None and self.reads_data:
            proof = self.proof("POST", path)
        if isinstance(proof, str):
            headers["DPoP"] = proof
        return headers

    # Endpoints

    def post(self, path: str, form: dict[str, Any], *, proof: Any = None, **changes: Any) -> TestResponse:
        """Any endpoint, with the client's credentials."""
        sent = _changed(self.credentials() | form, changes)
        return self.http.post(path, data=sent, headers=self.headers(path, proof=proof))

    def request(self, **changes: Any) -> dict[str, str]:
        """The parameters of an authorization request."""
        parameters = {
            "client_id": self.client_id,
            "response_type": "code",
            "redirect_uri": factories.REDIRECT_URI,
            "state": "a state & more",
            "nonce": "a nonce",
            "code_challenge": challenge(self.verifier),
            "code_challenge_method": "S256",
        } | ({"authorization_details": json.dumps(DETAILS)} if self.reads_data else {"scope": "openid profile"})
        return _changed(parameters, changes)

    def request_object(
        self, *, key: jwk.SigningKey | None = None, typ: str | None = "oauth-authz-req+jwt", **changes: Any
    ) -> str:
        """The authorization request as a signed request object (RFC 9101)."""
        now = int(clock.now().timestamp())
        claims: dict[str, Any] = {"iss": self.client_id, "aud": ISSUER, "nbf": now, "iat": now, "exp": now + 300}
        claims |= self.request()
        if self.reads_data:
            claims["authorization_details"] = DETAILS
        return jose.sign(_changed(claims, changes), key or self.party.key, typ=typ)

    def push_object(self, request: str | None = None, /, **changes: Any) -> TestResponse:
        """A pushed request that is all in an object; ``changes`` stand outside of it."""
        return self.post("/oauth/par", {"request": request or self.request_object()}, proof=LEFT_OUT, **changes)

    def push(self, *, proof: Any = LEFT_OUT, **changes: Any) -> TestResponse:
        return self.post("/oauth/par", self.request(), proof=proof, **changes)

    def authorize_url(self, **changes: Any) -> str:
        """For the browser: a pushed request, or its parameters for a plain sign-in."""
        if not self.reads_data:
            return f"/authorize?{urlencode(self.request(**changes))}"
        pushed = self.push(**changes)
        assert pushed.status_code == 201, pushed.text
        return f"/authorize?{urlencode({'client_id': self.client_id, 'request_uri': pushed.json['request_uri']})}"

    def token(self, code: str, /, *, proof: Any = None, **changes: Any) -> TestResponse:
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": factories.REDIRECT_URI,
            "code_verifier": self.verifier,
        }  # fmt: skip
        return self.post("/oauth/token", form, proof=proof, **changes)

    def refresh(self, refresh_token: str, /, *, proof: Any = None, **changes: Any) -> TestResponse:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        return self.post("/oauth/token", form, proof=proof, **changes)

    def introspect(self, token: str, /, **changes: Any) -> TestResponse:
        return self.post("/oauth/introspect", {"token": token}, proof=LEFT_OUT, **changes)

    def revoke(self, token: str, /, **changes: Any) -> TestResponse:
        return self.post("/oauth/revoke", {"token": token}, proof=LEFT_OUT, **changes)

    def read(
        self, token: str, path: str = "/api/v1/data", *, proof: Any = None, scheme: str = "DPoP", **more: str
    ) -> TestResponse:
        """``more``: further headers. The proof is for the address without its query."""
        proof = self.proof("GET", path.partition("?")[0], access_token=token) if proof is None else proof
        headers = {"Authorization": f"{scheme} {token}"} | more
        if proof is not LEFT_OUT:
            headers["DPoP"] = proof
        return self.http.get(path, headers=headers)


def code_for(
    third: ThirdParty, by: Actor, *, at: dt.datetime | None = None, give: Consent | None = None, **changes: Any
) -> tuple[str, Consent]:
    """A code as the holder's agreement on the page brings it, without the page; ``give``: an earlier consent."""
    now = at or clock.now()
    row = opened(third, **changes)
    asked = row.asked
    everything = Choices(items=tuple(i.item_id for i in asked.items), duration_days=asked.duration_days)
    shown = factories.shown(now)
    consent = give or lifecycle.give(asked, everything, by, shown, now, registry=factories.registry())
    answer = answers.with_code(row, consent, by, now, registry=factories.registry())
    par.finish(row, now, consent_id=consent.consent_id)
    db.session.commit()
    return answer.fields["code"], consent


def opened(third: ThirdParty, **changes: Any) -> par.AuthorizationRequest:
    """A request that was pushed and opened in a browser."""
    pushed = third.push(**changes)
    assert pushed.status_code == 201, pushed.text
    uri = pushed.json["request_uri"]
    return par.open_in_browser(uri, client_id=third.client_id, browser="b", now=clock.now())


def tokens_for(third: ThirdParty, by: Actor, **changes: Any) -> dict[str, Any]:
    """The answer of the token endpoint after an agreement."""
    code, _consent = code_for(third, by, **changes)
    answer = third.token(code)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def parameters_of(url: str) -> dict[str, str]:
    """The query of a redirect, each parameter once."""
    found = parse_qs(urlsplit(url).query, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values())
    return {name: values[0] for name, values in found.items()}


def _changed(sent: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (sent | changes).items() if value is not LEFT_OUT}
