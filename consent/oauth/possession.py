"""How an access token is presented (RFC 6750 section 2.1, RFC 9449 section 7): a bound one by proof, and only so."""

import datetime as dt
from dataclasses import dataclass, field

from consent.oauth.dpop import accept_proof
from dataspace.errors import DomainError

BEARER = "bearer"
DPOP = "dpop"


class WrongScheme(DomainError):
    """A bound token without its proof, or a proof beside a token that is bound to nothing."""

    code = "invalid_token"
    sentence = "The access token is presented in the wrong way."


@dataclass(frozen=True, kw_only=True, slots=True)
class Presented:
    """A token as it came. ``scheme``: in lower case; ``proofs``: every DPoP header; ``url``: as the client sees it."""

    scheme: str
    token: str = field(repr=False)
    proofs: list[str] = field(repr=False)
    method: str
    url: str


def check_possession(presented: Presented, *, expected_jkt: str | None, now: dt.datetime) -> None:
    """Whoever presents the token holds its key, in this very request. Raises WrongScheme, InvalidProof."""
    if expected_jkt is None:
        if presented.scheme != BEARER:
            raise WrongScheme("not bound to a key")
        return
    if presented.scheme != DPOP:
        raise WrongScheme("bound to a key, presented without proof")
    accept_proof(
        presented.proofs,
        method=presented.method,
        url=presented.url,
        now=now,
        access_token=presented.token,
        expected_jkt=expected_jkt,
    )
