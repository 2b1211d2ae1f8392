"""A registered client as the protocol sees it: Authlib's client interface around :mod:`consent.clients`.

Read with one Core statement; every endpoint begins with it.
"""

import hashlib
import hmac
from dataclasses import dataclass, field, replace
from typing import Any, Self

from authlib.oauth2.rfc6749 import ClientMixin
from sqlalchemy import bindparam, select

from consent.client_options import ClientOptions
from consent.clients import CERTIFICATE_METHODS, DATA_ALGORITHMS, SECRET_METHODS, Client, Profile, Standing
from dataspace.db import table_of
from dataspace.prepared import Prepared

RESPONSE_TYPES = ("code",)
DEFAULT_ALGORITHM = "RS256"  # of everything that is signed for a client which has registered no other


@dataclass(frozen=True, kw_only=True)
class RegisteredClient(ClientMixin):  # type: ignore[misc]
    """The columns of a client that decide about a request."""

    client_id: str
    profile: str
    redirect_uris: tuple[str, ...]
    token_endpoint_auth_method: str
    jwks: dict[str, Any] | None
    jwks_uri: str | None
    secret_digest: str | None = field(repr=False)
    id_token_signed_response_alg: str
    options: ClientOptions
    standing: str

    @property
    def is_data(self) -> bool:
        """Whether the client reads data spaces, under FAPI 2.0."""
        return self.profile == Profile.DATA

    @property
    def id_token_alg(self) -> str:
        """The algorithm that its ID tokens are signed with."""
        return self._possible(self.id_token_signed_response_alg)

    @property
    def response_alg(self) -> str:
        """The algorithm of signed answers through the browser (JARM section 3)."""
        return self._possible(self.options.authorization_signed_response_alg)

    @property
    def introspection_alg(self) -> str:
        """The algorithm of signed introspection answers (RFC 9701 section 6)."""
        return self._possible(self.options.introspection_signed_response_alg)

    def _possible(self, registered: str) -> str:
        alg = registered or DEFAULT_ALGORITHM
        return DATA_ALGORITHMS[0] if self.is_data and alg not in DATA_ALGORITHMS else alg

    def signing_backchannel_requests(self) -> Self:
        """As it signs requests to absent persons: when it has registered an algorithm for them, always and with it."""
        alg = self.options.backchannel_authentication_request_signing_alg
        if not alg:
            return self
        signs = replace(self.options, request_object_signing_alg=alg, require_signed_request_object=True)
        return replace(self, options=signs)

    # Authlib's client interface (authlib.oauth2.rfc6749.ClientMixin)

    def get_client_id(self) -> str:
        return self.client_id

    def get_default_redirect_uri(self) -> None:
        """There is none: every request names its redirect URI."""
        return

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri in self.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        digest = hashlib.sha256(client_secret.encode()).hexdigest()
        return self.secret_digest is not None and hmac.compare_digest(digest, self.secret_digest)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:  # noqa: ARG002 - Authlib's signature
        """One of the registered kind: a secret in the header or in the form is the same secret (RFC 6749 2.3.1)."""
        return method == self.token_endpoint_auth_method or any(
            {method, self.token_endpoint_auth_method} <= kind for kind in (SECRET_METHODS, CERTIFICATE_METHODS)
        )

    def check_response_type(self, response_type: str) -> bool:
        return response_type in RESPONSE_TYPES

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.options.grant_types


_COLUMNS = table_of(Client).c
_FIND = Prepared(
    select(
        _COLUMNS.client_id,
        _COLUMNS.profile,
        _COLUMNS.redirect_uris,
        _COLUMNS.token_endpoint_auth_method,
        _COLUMNS.jwks,
        _COLUMNS.jwks_uri,
        _COLUMNS.secret_digest,
        _COLUMNS.id_token_signed_response_alg,
        _COLUMNS.options,
        _COLUMNS.standing,
    ).where(_COLUMNS.client_id == bindparam("client"), _COLUMNS.standing != Standing.DELETED.value)
)


def find(unverified_client_id: str) -> RegisteredClient | None:
    """A client by its id, in one query; that it is the one who asks is for its authentication to show."""
    if not unverified_client_id.isascii() or "\x00" in unverified_client_id:
        return None  # PostgreSQL refuses NUL with an error of its own
    row = _FIND.first({"client": unverified_client_id})
    if row is None:
        return None
    client_id, profile, redirect_uris, method, jwks, jwks_uri, secret_digest, alg, options, standing = row
    return RegisteredClient(
        client_id=client_id,
        profile=profile,
        redirect_uris=tuple(redirect_uris),
        token_endpoint_auth_method=method,
        jwks=jwks,
        jwks_uri=jwks_uri,
        secret_digest=secret_digest,
        id_token_signed_response_alg=alg,
        options=ClientOptions.from_document(options),
        standing=standing,
    )
