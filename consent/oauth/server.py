"""The authorization server on Authlib: one per application, its grants, endpoints and client authentication methods.

Authlib picks the grant or endpoint, authenticates the client, and runs the steps of each in order; everything that it
leaves open or does too leniently is ours: how parameters are read, which client methods count, what errors look like.
"""

from typing import Any

import orjson
from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import InvalidClientError, InvalidRequestError, OAuth2Error
from flask import Flask, Response, current_app, request
from werkzeug.datastructures import Headers

from consent import clients
from consent.history import Registry
from consent.installation import Installation
from consent.oauth import (  # noqa: F401
    client_auth,
    dpop,
    forms,
    initial_access,
    nonces,
    registered_client,
    resources,
    sessions,
    tokens,
)
from consent.oauth.ciba import BackchannelAuthentication, CibaGrant
from consent.oauth.client_auth import ClientKeys, InvalidClient
from consent.oauth.device import DeviceAuthorization, DeviceGrant
from consent.oauth.drafts import Draft, Endpoint
from consent.oauth.errors import plain
from consent.oauth.forms import FormRequest
from consent.oauth.grants import CodeGrant, RefreshGrant, S256Challenge
from consent.oauth.id_tokens import IDToken
from consent.oauth.introspection import Introspection
from consent.oauth.nonces import Nonces
from consent.oauth.par import PushedRequests
from consent.oauth.possession import Sender
from consent.oauth.registered_client import RegisteredClient
from consent.oauth.revocation import Revocation
from consent.oauth.statutory import StatutoryGrant
from dataspace import clock
from dataspace.settings import Settings
from dataspace.tls import client_certificate

EXTENSION = "oauth"
TOKEN_PATH = "/oauth/token"  # noqa: S105 - an address


def init_oauth(app: Flask) -> None:
    """Give ``app`` its authorization server; it must have the consent side's registry already."""
    app.extensions[EXTENSION] = Server(
        app, registry=app.extensions["consent"], settings=app.extensions["dataspace"].settings
    )


def the_server() -> "Server":
    """The authorization server of the current application."""
    found: Server = current_app.extensions[EXTENSION]
    return found


class Server(AuthorizationServer):  # type: ignore[misc]
    """``registry``: keys, blind index and issuer; ``keys``: the clients' public keys as last seen.

    ``nonces``: what DPoP proofs for its own endpoints carry; ``resource_nonces``: those for what an access token opens.
    """

    def __init__(self, app: Flask, *, registry: Registry, settings: Settings) -> None:
        super().__init__(app, query_client=registered_client.find, save_token=_store)
        self.registry = registry
        self.issuer = registry.issuer
        self.keys = ClientKeys(allow_loopback=settings.fetch_loopback)
        self.nonces = nonces.of_authorization_server(settings)
        self.resource_nonces = nonces.of_resource_server(settings)
        self.settings = settings
        self.offered_methods = clients.offered_methods(Installation.of(settings))
        self.register_client_auth_method("private_key_jwt", self._private_key_jwt)
        self.register_client_auth_method("client_secret_basic", self._secret_basic)
        self.register_client_auth_method("client_secret_post", self._secret_post)
        self.register_client_auth_method("tls_client_auth", self._certificate)
        self.register_grant(CodeGrant, [S256Challenge(), IDToken(registry)])
        self.register_grant(RefreshGrant, [IDToken(registry)])
        self.register_grant(DeviceGrant, [IDToken(registry)])
        self.register_grant(CibaGrant, [IDToken(registry)])
        self.register_grant(StatutoryGrant)
        for endpoint in (PushedRequests, DeviceAuthorization, BackchannelAuthentication, Introspection, Revocation):
            self.register_endpoint(endpoint)

    # Requests

    def create_oauth2_request(self, _request: Any) -> FormRequest:
        """The current request: a form in the body, and nothing from the address (RFC 6749 section 3.2)."""
        if request.mimetype != forms.FORM:
            raise InvalidRequestError(f"the body must be {forms.FORM}")
        return self._request(forms.parse(request.get_data(cache=False)), request.headers)

    def _request(self, parameters: dict[str, str], headers: forms.Headers) -> FormRequest:
        return FormRequest(
            url=self.issuer + request.path,  # never from the Host header
            headers=headers,
            parameters=parameters,
            sender=self.sender(self.nonces),
            now=clock.now(),
        )

    def sender(self, expected_nonces: Nonces) -> Sender:
        """Who sends the current request, by what it shows beside its parameters."""
        return Sender(
            proofs=request.headers.getlist(dpop.HEADER),
            method=request.method,
            urls=self.settings.addresses(request.path),
            certificate=client_certificate(request.headers, self.settings),
            nonces=expected_nonces,
        )

    def draft(self, request: FormRequest, endpoint: Endpoint) -> Draft:
        """An authorization request that a client has posted and proved to be its own. Raises InvalidClientError."""
        return Draft(
            endpoint=endpoint,
            client=self.authenticate_client(request, (), endpoint.value),
            parameters=request.payload.data,
            sender=request.sender,
            registry=self.registry,
            keys=self.keys,
            now=request.now,
        )

    def get_token_grant(self, request: FormRequest) -> Any:
        """Authlib calls a missing grant_type unsupported; RFC 6749 section 5.2 calls it an invalid request."""
        if not request.payload.grant_type:
            raise InvalidRequestError("grant_type is missing")
        return super().get_token_grant(request)

    # Client authentication

    def authenticate_client(self, request: FormRequest, _methods: Any, endpoint: str = "token") -> RegisteredClient:
        """By the one method that the request uses and the client is registered for. Raises InvalidClientError.

        Authlib would try every method of its list in turn; whoever presents two things must mean one.
        """
        method = presented_method(request)
        try:
            client: RegisteredClient = super().authenticate_client(request, [method], endpoint)
        except InvalidClientError:
            raise InvalidClientError("this client does not authenticate in this way", status_code=401) from None
        except InvalidClient as error:
            raise InvalidClientError(plain(error.detail), status_code=401) from None
        if request.payload.client_id not in (None, client.client_id):
            raise InvalidClientError("client_id is another client", status_code=401)
        return client

    def authenticate_program(self, endpoint: str) -> RegisteredClient:
        """The client behind a request whose body is no form. Raises InvalidClientError, InvalidRequestError.

        What the form carries elsewhere stands in the header: the assertion as ``Authorization: Bearer``, a secret as
        Basic; beside a certificate ``client_id`` stands in the address.
        """
        scheme, _space, credentials = (request.headers.get("Authorization") or "").partition(" ")
        named = forms.parse(request.query_string).get("client_id")
        parameters, headers = {"client_id": named} if named else {}, request.headers
        if scheme.lower() == "bearer":
            parameters |= {"client_assertion_type": client_auth.ASSERTION_TYPE, "client_assertion": credentials.strip()}
            headers = Headers([(name, value) for name, value in headers if name != "Authorization"])
        return self.authenticate_client(self._request(parameters, headers), [], endpoint)

    def _private_key_jwt(self, _query_client: Any, request: FormRequest) -> RegisteredClient:
        if request.form.get("client_assertion_type") != client_auth.ASSERTION_TYPE:
            raise InvalidClient("client_assertion_type is not supported")
        assertion = request.form.get("client_assertion", "")
        client = _known(client_auth.unverified_client_id(assertion))
        client_auth.accept_assertion(
            assertion,
            client,
            self.keys,
            expected_audience=self.issuer,
            now=request.now,
            token_endpoint=None if client.is_data else self.issuer + TOKEN_PATH,
            algorithms=_assertion_algorithms(client),
        )
        return client

    def _secret_basic(self, _query_client: Any, request: FormRequest) -> RegisteredClient:
        presented = client_auth.parse_basic(request.headers.get("Authorization"))
        client = _known(presented.client_id)
        client_auth.check_secret(presented.secret, expected_digest=client.secret_digest)
        return client

    def _secret_post(self, _query_client: Any, request: FormRequest) -> RegisteredClient:
        client = _known(request.form.get("client_id", ""))
        client_auth.check_secret(request.form["client_secret"], expected_digest=client.secret_digest)
        return client

    def _certificate(self, _query_client: Any, request: FormRequest) -> RegisteredClient:
        """RFC 8705 section 2: the form says who it is, the certificate proves it, in the way that is registered."""
        client = _known(request.form.get("client_id", ""))
        if request.sender.certificate is None:
            raise InvalidClient("no client certificate")
        client_auth.check_certificate(
            request.sender.certificate, client, self.keys, offered=self.offered_methods, now=request.now
        )
        return client

    # Responses

    def handle_response(self, status_code: int, payload: Any, headers: Any) -> Response:
        """JSON that nobody stores (RFC 6749 section 5.1), or a JWT; Authlib's headers say so."""
        body = payload if isinstance(payload, str) else orjson.dumps(payload)
        return Response(body, status_code, list(headers))

    def handle_error_response(self, _request: Any, error: OAuth2Error) -> Response:
        """RFC 6749 section 5.2, with a description in the characters that it allows."""
        body = {"error": error.error}
        if description := plain(error.get_error_description() or ""):
            body["error_description"] = description
        return self.handle_response(error.status_code, body, error.get_headers())


def presented_method(request: FormRequest) -> str:
    """How the client authenticates in this request. More than one way is an error (RFC 6749 section 2.3)."""
    presented = {
        "private_key_jwt": "client_assertion" in request.form or "client_assertion_type" in request.form,
        "client_secret_basic": request.headers.get("Authorization") is not None,
        "client_secret_post": "client_secret" in request.form,
    }
    methods = [method for method, used in presented.items() if used]
    if not methods and request.sender.certificate is not None and "client_id" in request.form:
        return "tls_client_auth"  # beside another method a certificate is no second one: tokens are bound to it
    if not methods:
        raise InvalidClientError("no client authentication", status_code=401)
    if len(methods) > 1:
        raise InvalidRequestError("more than one client authentication method")
    return methods[0]


def _assertion_algorithms(client: RegisteredClient) -> frozenset[str]:
    """What the client's assertions may be signed with: its own choice, among those of its profile."""
    accepted = client_auth.ALGORITHMS if client.is_data else client_auth.LOGIN_ALGORITHMS
    own = client.options.token_endpoint_auth_signing_alg
    return accepted & {own} if own else accepted


def _known(unverified_client_id: str) -> RegisteredClient:
    client = registered_client.find(unverified_client_id)
    if client is None:
        raise InvalidClient("unknown client")
    return client


def _store(_token: dict[str, Any], request: FormRequest) -> None:
    tokens.store(request.issue)
