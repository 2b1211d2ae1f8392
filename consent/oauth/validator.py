"""What the data API's guard asks: does this token, presented in this way, allow a read now?

On the path of every read: what needs no database comes first, then one question to it (:mod:`consent.oauth.reading`).
"""

import datetime as dt
from typing import Any

from consent import powers, statutory_admission
from consent.oauth import bindings, reading, resources, statutory_tokens
from consent.oauth.bindings import Readable
from consent.oauth.dpop import InvalidProof, NonceNeeded
from consent.oauth.nonces import Nonces
from consent.oauth.possession import Presented, Sender, WrongScheme, check_possession, check_shown, look_at
from consent.oauth.tokens import Kind
from consent.records import granted_items, why_inactive
from dataspace import by_law, jwe
from dataspace.frequency import Frequency
from dataspace.permission import ByLaw, Permission, ReadRefused
from dataspace.tls import ClientCertificate


def permission_for(
    *,
    scheme: str,
    token: str,
    proofs: list[str],
    method: str,
    urls: tuple[str, ...],
    certificate: ClientCertificate | None,
    now: dt.datetime,
    issuer: str,
    nonces: Nonces,
    continuing: bool = False,
) -> Permission:
    """The permission behind a presented token. ``scheme``: the authorization scheme, in lower case.

    ``continuing``: for a read that was counted before; that the consent is used up does not end it.

    A token that we know names its holder even when its proof is wrong, so that an attempt with a stolen one is shown.
    Raises ReadRefused.
    """
    sender = Sender(proofs=proofs, method=method, urls=urls, nonces=nonces, certificate=certificate)
    presented = Presented(scheme=scheme, token=token, sender=sender)
    if token.startswith(statutory_tokens.PREFIX):
        return _by_law(presented, now)
    shown = look_at(presented, now=now)
    found = reading.find(token, shown.proof)
    if found is None or found.token.kind != Kind.ACCESS or bindings.ended_early(found.token, found.token.revoked_at):
        raise ReadRefused("invalid_token")
    bound = found.token
    if issuer not in resources.audience(bound.resource, issuer=issuer):
        raise ReadRefused("invalid_token", detail="meant for another resource")
    permission = permission_of(bound)
    try:
        check_shown(presented, shown, expected_jkt=bound.jkt, expected_x5t=bound.x5t, is_first=found.is_first)
    except (WrongScheme, InvalidProof) as error:
        raise _not_held(error, permission) from None
    inactive = why_inactive(bound, now, continuing=continuing)
    if inactive is not None:
        raise ReadRefused(inactive.reason.value, permission=permission, since=inactive.since)
    if bound.revoked_at is not None or now >= bound.dies_at:
        raise ReadRefused("invalid_token", detail="expired")
    if bound.consent_kind != "data":
        raise ReadRefused("insufficient_scope", permission=permission)
    return permission


def _by_law(presented: Presented, now: dt.datetime) -> Permission:
    """The same for a token that rests on a law: in the same order, with its power in place of the consent."""
    bound = statutory_tokens.find(presented.token)
    if bound is None or (bound.revoked_at is not None and bound.revoked_at < bound.expires_at):
        raise ReadRefused("invalid_token")
    permission = permission_by_law(bound, now)
    try:
        check_possession(presented, expected_jkt=bound.jkt, expected_x5t=bound.x5t, now=now)
    except (WrongScheme, InvalidProof) as error:
        raise _not_held(error, permission) from None
    void = powers.why_void(bound, now)
    if void is not None:
        raise ReadRefused(void.value, permission=permission)
    if now >= bound.expires_at:
        raise ReadRefused("invalid_token", detail="expired")
    return permission


def _not_held(error: WrongScheme | InvalidProof, permission: Permission) -> ReadRefused:
    """What is told to somebody who does not hold the token that is presented."""
    if isinstance(error, WrongScheme):
        return ReadRefused("invalid_token", permission=permission, detail=error.detail)
    if isinstance(error, NonceNeeded):
        # Part of the ordinary conversation, and no attempt that the holder should be shown.
        return ReadRefused("use_dpop_nonce", detail=error.detail)
    return ReadRefused("invalid_dpop_proof", permission=permission, detail=error.detail)


def permission_by_law(bound: statutory_tokens.Bound, now: dt.datetime) -> Permission:
    """What a token for a read by law allows: what its power names, whatever of it is sensitive."""
    law = ByLaw(
        power_id=bound.power_id,
        power_version=bound.power_version,
        case_id=bound.case_id,
        law=statutory_admission.words(bound.law, bound.article),
        case_limit=bound.case_limit,
        day_limit=bound.day_limit,
        hidden_until=by_law.hides(bound, now),
    )
    return statutory_admission.permission(
        law, client_id=bound.client_id, recipient=bound.legal_name["zh_hans"], space_id=bound.space_id,
        purpose=bound.purpose["zh_hans"], case_no=bound.case_no, at=bound.issued_at,
        items=granted_items([i | {"sensitive": True} for i in bound.items]), encryption=_encryption(bound.options),
    )  # fmt: skip


def permission_of(bound: Readable) -> Permission:
    """What a token or code allows, as the data API and the access log know it."""
    return Permission(
        client_id=bound.client_id,
        recipient=bound.legal_name["zh_hans"],
        consent_id=bound.consent_id,
        consent_version=bound.version,
        space_id=bound.space_id,
        purpose=bound.purpose_text["zh_hans"],
        purpose_code=bound.purpose_code,
        reference_no=bound.reference_no,
        items=granted_items(bound.granted),
        max_reads=bound.max_reads,
        frequency=Frequency.of(bound.frequency),
        case_required=bound.case_required,
        auth_time=bound.auth_time,
        acr=bound.acr,
        encryption=_encryption(bound.client_options),
    )


def _encryption(options: dict[str, Any]) -> tuple[str, str] | None:
    alg = options.get("data_encrypted_response_alg")
    return (alg, options.get("data_encrypted_response_enc") or jwe.CONTENT[0]) if alg else None
