"""OAuth errors that Authlib does not have, and the one bridge from our domain's errors to OAuth's."""

from collections.abc import Iterator
from contextlib import contextmanager

from authlib.oauth2.base import invalid_error_characters
from authlib.oauth2.rfc6749 import OAuth2Error

from consent.oauth.dpop import InvalidProof
from consent.terms import InvalidTerms

MAX_DESCRIPTION = 300


class InvalidAuthorizationDetailsError(OAuth2Error):  # type: ignore[misc]
    """RFC 9396 section 5."""

    error = "invalid_authorization_details"


class InvalidProofError(OAuth2Error):  # type: ignore[misc]
    """RFC 9449 section 5."""

    error = "invalid_dpop_proof"


class InvalidTargetError(OAuth2Error):  # type: ignore[misc]
    """RFC 8707 section 2."""

    error = "invalid_target"


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
    except InvalidProof as error:
        raise InvalidProofError(plain(error.detail)) from None


def plain(description: str) -> str:
    """A description in the characters that error_description allows (RFC 6749 section 5.2)."""
    for character in invalid_error_characters(description):
        description = description.replace(character, "'")
    return description[:MAX_DESCRIPTION]
