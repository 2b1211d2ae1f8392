"""What a request shows of who sends it, and how an access token is presented: a bound one by proof, and only so.

RFC 6750 section 2.1, RFC 9449 section 7.
"""

import datetime as dt
from dataclasses import dataclass, field

from consent.oauth.dpop import InvalidProof, VerifiedProof, accept_proof, verify_proof
from consent.oauth.nonces import Nonces
from dataspace.errors import DomainError
from dataspace.tls import ClientCertificate

BEARER = "bearer"
DPOP = "dpop"


class WrongScheme(DomainError):
    """A bound token without its proof or certificate, or a proof beside a token that is bound to no key."""

    code = "invalid_token"
    sentence = "The access token is presented in the wrong way."


@dataclass(frozen=True, kw_only=True, slots=True)
class Sender:
    """What a request shows of who sends it, unchecked. ``proofs``: every DPoP header.

    ``urls``: the addresses under which a client may know the endpoint; ``nonces``: those of the server that it is of;
    ``certificate``: of its TLS connection, by the word of a proxy that we trust.
    """

    proofs: list[str] = field(repr=False)
    method: str
    urls: tuple[str, ...]
    nonces: Nonces = field(repr=False)
    certificate: ClientCertificate | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Presented:
    """A token as it came, and who sends it. ``scheme``: in lower case."""

    scheme: str
    token: str = field(repr=False)
    sender: Sender


def proved_key(sender: Sender, *, now: dt.datetime, expected_jkt: str | None = None) -> VerifiedProof:
    """The key that the sender holds, by a proof made for this very request. Raises InvalidProof."""
    return accept_proof(
        sender.proofs,
        method=sender.method,
        urls=sender.urls,
        nonces=sender.nonces,
        now=now,
        expected_jkt=expected_jkt,
    )


def check_possession(
    presented: Presented, *, expected_jkt: str | None, expected_x5t: str | None, now: dt.datetime
) -> None:
    """Whoever presents the token holds its key, in this very request. Raises WrongScheme, InvalidProof."""
    _check_scheme(presented, expected_jkt=expected_jkt, expected_x5t=expected_x5t)
    if expected_jkt is None:
        return
    sender = presented.sender
    accept_proof(
        sender.proofs,
        method=sender.method,
        urls=sender.urls,
        nonces=sender.nonces,
        now=now,
        access_token=presented.token,
        expected_jkt=expected_jkt,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """The proof that came with a token, before anybody has looked whose token it is: verified, or what is wrong."""

    proof: VerifiedProof | None = None
    wrong: InvalidProof | None = None


def look_at(presented: Presented, *, now: dt.datetime) -> Shown:
    """What the proof is worth by itself; a token that is presented without one has none."""
    if presented.scheme != DPOP:
        return Shown()
    sender = presented.sender
    try:
        proof = verify_proof(
            sender.proofs,
            method=sender.method,
            urls=sender.urls,
            nonces=sender.nonces,
            now=now,
            access_token=presented.token,
        )
    except InvalidProof as error:
        return Shown(wrong=error)
    return Shown(proof=proof)


def check_shown(
    presented: Presented, shown: Shown, *, expected_jkt: str | None, expected_x5t: str | None, is_first: bool
) -> None:
    """:func:`check_possession` by what was looked at before; ``is_first``: the proof was not seen before.

    Raises WrongScheme, InvalidProof.
    """
    _check_scheme(presented, expected_jkt=expected_jkt, expected_x5t=expected_x5t)
    if expected_jkt is None:
        return
    if shown.proof is None:
        raise shown.wrong or InvalidProof("no proof")
    if shown.proof.jkt != expected_jkt:
        raise InvalidProof("another key")
    if not is_first:
        raise InvalidProof("jti was used before")


def _check_scheme(presented: Presented, *, expected_jkt: str | None, expected_x5t: str | None) -> None:
    certificate = presented.sender.certificate
    if expected_x5t is not None and (certificate is None or certificate.x5t != expected_x5t):
        raise WrongScheme("bound to a certificate, presented without it")  # RFC 8705 section 3
    if expected_jkt is None and presented.scheme != BEARER:
        raise WrongScheme("not bound to a key of DPoP")
    if expected_jkt is not None and presented.scheme != DPOP:
        raise WrongScheme("bound to a key, presented without proof")
