"""OAuth errors that Authlib does not have, and the one bridge from our domain's errors to OAuth's."""

from collections.abc import Iterator
from contextlib import contextmanager

from authlib.oauth2.base import invalid_error_characters
from authlib.oauth2.rfc6749 import InvalidRequestError, OAuth2Error
from authlib.oauth2.rfc6750 import InvalidTokenError

from consent.claims import InvalidClaims
from consent.oauth.dpop import InvalidProof, NonceNeeded
from consent.oauth.possession import WrongScheme
from consent.terms import InvalidTerms

MAX_DESCRIPTION = 300


class InvalidAuthorizationDetailsError(OAuth2Error):  # type: ignore[misc]
    """RFC 9396 section 5."""

    error = "invalid_authorization_details"


class InvalidBindingMessageError(OAuth2Error):  # type: ignore[misc]
    """CIBA Core section 13."""

    error = "invalid_binding_message"


class InvalidProofError(OAuth2Error):  # type: ignore[misc]
    """RFC 9449 section 5."""

    error = "invalid_dpop_proof"


class UseNonceError(InvalidProofError):
    """RFC 9449 section 8: the client should try again with the nonce that comes with the answer."""

    error = "use_dpop_nonce"


class InvalidTargetError(OAuth2Error):  # type: ignore[misc]
    """RFC 8707 section 2."""

    error = "invalid_target"


class UnmetAuthenticationRequirementsError(OAuth2Error):  # type: ignore[misc]
    """OpenID Connect Core Unmet Authentication Requirements section 2."""

    error = "unmet_authentication_requirements"


class InvalidGrantIdError(OAuth2Error):  # type: ignore[misc]
    """Grant Management for OAuth 2.0 section 5.4."""

    error = "invalid_grant_id"


@contextmanager
def as_oauth() -> Iterator[None]:
    """Raise the OAuth error for what goes wrong inside. The details that pass are written for the client to read."""
    try:
        yield
    except InvalidTerms as error:
        raise InvalidAuthorizationDetailsError(plain(error.detail)) from None
    except InvalidClaims as error:
        raise InvalidRequestError(plain(error.detail)) from None
    except NonceNeeded as error:
        raise UseNonceError(plain(error.detail)) from None
    except InvalidProof as error:
        raise InvalidProofError(plain(error.detail)) from None


@contextmanager
def as_refused_token() -> Iterator[None]:
    """The same where an access token is presented: every refusal is a 401 (RFC 6750 section 3.1, RFC 9449 7.1)."""
    try:
        yield
    except NonceNeeded as error:
        raise UseNonceError(plain(error.detail), status_code=401) from None
    except InvalidProof as error:
        raise InvalidProofError(plain(error.detail), status_code=401) from None
    except WrongScheme as error:
        raise InvalidTokenError(plain(error.detail)) from None


def plain(description: str) -> str:
    """A description in the characters that error_description allows (RFC 6749 section 5.2)."""
    for character in invalid_error_characters(description):
        description = description.replace(character, "'")
    return description[:MAX_DESCRIPTION]
