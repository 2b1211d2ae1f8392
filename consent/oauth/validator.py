"""What the data API's guard asks: does this token, presented in this way, allow a read now?

On the path of every read: what needs no database comes first, then one question to it (:mod:`consent.oauth.reading`).
"""

import datetime as dt
from typing import Any

from consent.oauth import reading, resources, tokens
from consent.oauth.dpop import InvalidProof, NonceNeeded
from consent.oauth.nonces import Nonces
from consent.oauth.possession import Presented, Sender, WrongScheme, check_shown, look_at
from consent.oauth.reading import Readable
from consent.oauth.tokens import Bound, Kind
from consent.records import why_inactive
from dataspace import jwe
from dataspace.frequency import Frequency
from dataspace.permission import GrantedItem, Permission, ReadRefused
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
) -> Permission:
    """The permission behind a presented token. ``scheme``: the authorization scheme, in lower case.

    A token that we know names its holder even when its proof is wrong, so that an attempt with a stolen one is shown.
    Raises ReadRefused.
    """
    sender = Sender(proofs=proofs, method=method, urls=urls, nonces=nonces, certificate=certificate)
    presented = Presented(scheme=scheme, token=token, sender=sender)
    shown = look_at(presented, now=now)
    found = reading.find(token, shown.proof)
    if found is None or found.token.kind != Kind.ACCESS or tokens.ended_early(found.token, found.token.revoked_at):
        raise ReadRefused("invalid_token")
    bound = found.token
    if issuer not in resources.audience(bound.resource, issuer=issuer):
        raise ReadRefused("invalid_token", detail="meant for another resource")
    permission = permission_of(bound)
    try:
        check_shown(presented, shown, expected_jkt=bound.jkt, expected_x5t=bound.x5t, is_first=found.is_first)
    except WrongScheme as error:
        raise ReadRefused("invalid_token", permission=permission, detail=error.detail) from None
    except NonceNeeded as error:
        # Part of the ordinary conversation, and no attempt that the holder should be shown.
        raise ReadRefused("use_dpop_nonce", detail=error.detail) from None
    except InvalidProof as error:
        raise ReadRefused("invalid_dpop_proof", permission=permission, detail=error.detail) from None
    inactive = why_inactive(bound, now)
    if inactive is not None:
        raise ReadRefused(inactive.reason.value, permission=permission, since=inactive.since)
    if bound.revoked_at is not None or now >= bound.dies_at:
        raise ReadRefused("invalid_token", detail="expired")
    if bound.consent_kind != "data":
        raise ReadRefused("insufficient_scope", permission=permission)
    return permission


def permission_of(bound: Bound | Readable) -> Permission:
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
        items=tuple(
            GrantedItem(
                item_id=i["item"],
                item_version=i["version"],
                fields=tuple(i["fields"]),
                period_from=i["from"],
                period_to=i["to"],
                sensitive=i.get("sensitive", False),
                delivery=i.get("delivery", "raw"),
            )
            for i in bound.granted
        ),
        max_reads=bound.max_reads,
        frequency=Frequency.of(bound.frequency),
        auth_time=bound.auth_time,
        acr=bound.acr,
        encryption=_encryption(bound.client_options),
    )


def _encryption(options: dict[str, Any]) -> tuple[str, str] | None:
    alg = options.get("data_encrypted_response_alg")
    return (alg, options.get("data_encrypted_response_enc") or jwe.CONTENT[0]) if alg else None
