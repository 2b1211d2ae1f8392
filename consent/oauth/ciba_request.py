"""The parameters that only a request to an absent person has (OpenID Connect CIBA Core section 7.1)."""

import datetime as dt
import re
import unicodedata
from collections.abc import Mapping

from authlib.oauth2.rfc6749 import InvalidRequestError

from consent.oauth.errors import InvalidBindingMessageError

WAITS = dt.timedelta(minutes=45)  # as long as a request at a counter, unless the client says otherwise
SHORTEST, LONGEST = dt.timedelta(minutes=5), dt.timedelta(hours=72)
MAX_MESSAGE = 20
HINTS = ("login_hint", "id_token_hint", "login_hint_token")
# What a signed request must have (section 7.1.1).
SIGNED_CLAIMS = ("iss", "aud", "exp", "nbf", "iat", "jti")


def demand_one_hint(parameters: Mapping[str, str]) -> None:
    """Exactly one, of the two that we know. Raises InvalidRequestError."""
    if sum(name in parameters for name in HINTS) != 1:
        raise InvalidRequestError(f"exactly one of {', '.join(HINTS)} must say who is asked")
    if "login_hint_token" in parameters:
        raise InvalidRequestError("login_hint_token is not supported")


def demand_showable(binding_message: str) -> None:
    """A word to compare, and no room to talk somebody into something. Raises InvalidBindingMessageError.

    Demanded always (FAPI-CIBA section 5.2.2): nothing else ties the request to what the person hears from the client.
    """
    if not 0 < len(binding_message) <= MAX_MESSAGE or binding_message.strip() != binding_message:
        raise InvalidBindingMessageError(f"binding_message must have 1 to {MAX_MESSAGE} characters")
    if any(unicodedata.category(c)[0] not in "LN" and c not in " -" for c in binding_message):
        raise InvalidBindingMessageError("binding_message must be letters, digits, spaces and hyphens")


def life(requested_expiry: str) -> dt.timedelta:
    """How long the request waits: what the client wishes, within our limits. Raises InvalidRequestError."""
    if not requested_expiry:
        return WAITS
    if not re.fullmatch(r"[1-9][0-9]{0,8}", requested_expiry):
        raise InvalidRequestError("requested_expiry is not a number of seconds")
    return min(max(dt.timedelta(seconds=int(requested_expiry)), SHORTEST), LONGEST)
