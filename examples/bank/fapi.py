"""A client for data spaces: Authlib's OAuth 2 client plus what FAPI 2.0 asks and the library lacks.

Authlib does the authorization code flow, PKCE, the token and refresh requests and the signature of the client
assertion. Added here: discovery, pushed authorization requests (RFC 9126), ``authorization_details`` (RFC 9396), the
``iss`` check (RFC 9207), DPoP proofs with server nonces (RFC 9449), the issuer as the assertion's audience (FAPI 2.0),
and the read itself.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
from authlib.oauth2 import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT, private_key_jwt_sign
from joserfc import jwt
from joserfc.jwk import ECKey

ALG = "ES256"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
ASSERTION_SECONDS = 60
TIMEOUT_SECONDS = 10.0


class OAuthRefused(Exception):
    """The service said no. ``error`` and ``description`` are its words; ``status`` is None for a redirect."""

    def __init__(self, error: str, description: str = "", status: int | None = None) -> None:
        super().__init__(f"{error}: {description}" if description else error)
        self.error = error
        self.description = description
        self.status = status


@dataclass(frozen=True)
class Started:
    """A pushed request: send the browser to ``url``, keep ``state`` and ``code_verifier`` for the way back."""

    url: str
    state: str
    code_verifier: str


@dataclass(frozen=True)
class Begun:
    """A request for a screen of ours: show ``address`` as a QR code beside ``user_code``, fetch every ``interval``."""

    device_code: str
    user_code: str
    address: str
    interval: int  # seconds


class DataSpaceClient:
    """One registered client of one issuer.

    ``signing_key`` signs client assertions and has a registered public part; ``proof_key`` binds tokens and never
    leaves this process.
    """

    def __init__(self, issuer: str, client_id: str, redirect_uri: str, *, signing_key: ECKey, proof_key: ECKey) -> None:
        self.issuer = issuer
        self.client_id = client_id
        self.redirect_uri = redirect_uri
        self.proof_key = proof_key
        self.http = httpx.Client(timeout=TIMEOUT_SECONDS, headers={"Accept": "application/json"})
        self.nonces: dict[str, str] = {}  # per origin, as the server last gave it (RFC 9449 section 8)
        self._assertion = ClientAssertion(issuer, signing_key)
        self._metadata: dict[str, Any] | None = None

    @property
    def metadata(self) -> dict[str, Any]:
        """The issuer's metadata (RFC 8414), fetched once. Raises OAuthRefused when it speaks for another issuer."""
        if self._metadata is None:
            parts = urlsplit(self.issuer)
            well_known = f"{parts.scheme}://{parts.netloc}/.well-known/oauth-authorization-server{parts.path}"
            found = self.http.get(well_known).raise_for_status().json()
            if found.get("issuer") != self.issuer:
                raise OAuthRefused("wrong_issuer", "the metadata names another issuer")
            self._metadata = found
        return self._metadata

    @property
    def data_url(self) -> str:
        """Where the data of a space is read: at the resource that the issuer names (RFC 9728 section 4), or its own."""
        resources = self.metadata.get("protected_resources") or [self.issuer]
        return f"{resources[0]}/api/v1/data"

    def start(self, authorization_details: list[dict[str, Any]], **parameters: str) -> Started:
        """Push an authorization request. Raises OAuthRefused with the service's reason."""
        verifier = secrets.token_urlsafe(48)
        url, state = self._oauth().create_authorization_url(
            "", code_verifier=verifier, authorization_details=json.dumps(authorization_details), **parameters
        )
        pushed = dict(parse_qsl(urlsplit(url).query))
        response = self.http.post(
            self.metadata["pushed_authorization_request_endpoint"], data=pushed, auth=self._client_proof()
        )
        if response.status_code != 201:
            raise refusal(response)
        front = {"client_id": self.client_id, "request_uri": response.json()["request_uri"]}
        return Started(f"{self.metadata['authorization_endpoint']}?{urlencode(front)}", state, verifier)

    def finish(self, callback_url: str, *, state: str, code_verifier: str) -> dict[str, Any]:
        """Exchange what came back to ``callback_url`` for a token. Raises OAuthRefused when it brings an error."""
        answer = dict(parse_qsl(urlsplit(callback_url).query))
        if answer.get("iss") != self.issuer:  # RFC 9207 section 2.4: a mix-up of two servers ends here
            raise OAuthRefused("wrong_issuer", "the answer does not come from the issuer that was asked")
        if answer.get("state") != state:
            raise OAuthRefused("wrong_state", "the answer belongs to another request")
        if "error" in answer:
            raise OAuthRefused(answer["error"], answer.get("error_description", ""))
        return self._token("fetch_token", code=answer.get("code", ""), code_verifier=code_verifier)

    def begin(self, authorization_details: list[dict[str, Any]]) -> Begun:
        """Ask somebody who stands in front of a screen of ours (RFC 8628). Raises OAuthRefused."""
        asked = {"client_id": self.client_id, "authorization_details": json.dumps(authorization_details)}
        address = self.metadata["device_authorization_endpoint"]
        response = self.http.post(address, data=asked, auth=self._client_proof())
        if response.status_code != 200:
            raise refusal(response)
        told = response.json()
        return Begun(told["device_code"], told["user_code"], told["verification_uri_complete"], told["interval"])

    def fetch(self, begun: Begun) -> dict[str, Any]:
        """The token as soon as the person has agreed. Raises OAuthRefused, until then ``authorization_pending``."""
        return self._token("fetch_token", grant_type=DEVICE_CODE, device_code=begun.device_code)

    def refresh(self, refresh_token: str) -> dict[str, Any]:
        """A fresh access token. Raises OAuthRefused, for instance when the consent has ended."""
        return self._token("refresh_token", refresh_token=refresh_token)

    def get(self, url: str, access_token: str) -> httpx.Response:
        """Read a protected resource with a proof for exactly this request and token."""
        return self.http.get(url, auth=Proof(self, access_token=access_token))

    def _token(self, request: str, **parameters: str) -> dict[str, Any]:
        send = getattr(self._oauth(), request)
        try:
            token = dict(send(url=self.metadata["token_endpoint"], auth=self._client_proof(), **parameters))
        except OAuth2Client.oauth_error_class as error:
            raise OAuthRefused(error.error, error.description or "") from None
        if token.get("token_type", "").lower() != "dpop":
            raise OAuthRefused("unexpected_answer", "the token is not bound to our key")
        return token

    def _oauth(self) -> OAuth2Client:
        """A fresh library client: it keeps the last token, and we serve many people."""
        return OAuth2Client(
            self.http, client_id=self.client_id, redirect_uri=self.redirect_uri, code_challenge_method="S256"
        )

    def _client_proof(self) -> "Proof":
        return Proof(self, client_auth=self._oauth().client_auth(self._assertion))


class ClientAssertion(PrivateKeyJWT):
    """Authlib's private_key_jwt with the issuer as audience (FAPI 2.0 section 5.3.2.1), a short life and a key id."""

    alg = ALG

    def __init__(self, issuer: str, key: ECKey) -> None:
        super().__init__(issuer, alg=ALG)
        self.key = key

    def sign(self, auth: Any, token_endpoint: str) -> str:
        return private_key_jwt_sign(
            self.key,
            client_id=auth.client_id,
            token_endpoint=token_endpoint,
            alg=self.alg,
            header={"kid": self.key.kid},
            expires_in=ASSERTION_SECONDS,
        )


class Proof(httpx.Auth):
    """Authenticates one request: a DPoP proof, and with it the client's assertion or an access token.

    A server that wants its nonce in the proof says so once; the request is then sent again with it.
    """

    requires_request_body = True
    requires_response_body = True

    def __init__(self, client: DataSpaceClient, *, client_auth: Any = None, access_token: str | None = None) -> None:
        self.client = client
        self.client_auth = client_auth
        self.access_token = access_token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        origin = f"{request.url.scheme}://{request.url.netloc.decode()}"
        response = yield self._signed(request, self.client.nonces.get(origin))
        nonce = response.headers.get("DPoP-Nonce")
        if nonce:
            self.client.nonces[origin] = nonce
        if nonce and _wants_nonce(response):
            yield self._signed(request, nonce)

    def _signed(self, request: httpx.Request, nonce: str | None) -> httpx.Request:
        body = request.content
        headers = {k: v for k, v in request.headers.items() if k.lower() not in ("content-length", "authorization")}
        if self.client_auth is not None:
            # Signed anew on every attempt: an assertion's jti counts once.
            _url, _headers, body = self.client_auth.prepare(request.method, str(request.url), headers, body.decode())
        headers["DPoP"] = dpop_proof(
            self.client.proof_key, request.method, str(request.url), nonce=nonce, access_token=self.access_token
        )
        if self.access_token:
            headers["Authorization"] = f"DPoP {self.access_token}"
        return httpx.Request(request.method, request.url, headers=headers, content=body, extensions=request.extensions)


def dpop_proof(key: ECKey, method: str, url: str, *, nonce: str | None = None, access_token: str | None = None) -> str:
    """A proof of possession for one request (RFC 9449 section 4.2); with ``access_token`` it carries ``ath``."""
    parts = urlsplit(url)
    claims: dict[str, Any] = {
        "jti": secrets.token_urlsafe(16),
        "htm": method,
        "htu": f"{parts.scheme}://{parts.netloc}{parts.path}",
        "iat": int(time.time()),
    }
    if nonce:
        claims["nonce"] = nonce
    if access_token:
        digest = hashlib.sha256(access_token.encode("ascii")).digest()
        claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    public = {name: key.as_dict(private=False)[name] for name in ("kty", "crv", "x", "y")}
    return jwt.encode({"typ": "dpop+jwt", "alg": ALG, "jwk": public}, claims, key, algorithms=[ALG])


def refusal(response: httpx.Response) -> OAuthRefused:
    """What an error answer says; whatever is not OAuth's JSON becomes ``unexpected_answer``."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict) or "error" not in body:
        return OAuthRefused("unexpected_answer", f"HTTP {response.status_code}", response.status_code)
    return OAuthRefused(str(body["error"]), str(body.get("error_description", "")), response.status_code)


def _wants_nonce(response: httpx.Response) -> bool:
    """RFC 9449 section 8 (token endpoint: 400) and section 9 (resource: 401)."""
    said = response.text if response.status_code == 400 else response.headers.get("WWW-Authenticate", "")
    return response.status_code in (400, 401) and "use_dpop_nonce" in said
