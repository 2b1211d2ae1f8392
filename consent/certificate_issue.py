"""Making a certificate: of one item that a living consent grants, as it would be delivered now.

What it says can be shown field by field: the data themselves, and about whom, for whom and what for they were
delivered. Where they come from, of when they are and how long the certificate holds is always seen.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from consent import data_certificates, history, lifecycle, pauses, sd_jwt, status_lists
from consent.clients import Client
from consent.data_certificates import By, DataCertificate
from consent.history import Registry
from consent.keys import KeyUse
from consent.records import Consent, ConsentVersion, facts_of, granted_items, why_inactive
from consent.sd_jwt import SdJwt
from dataspace import catalogue, extracts, holders
from dataspace.db import connection, db, new_id
from dataspace.delivery import Delivered, provenance
from dataspace.errors import Conflict, NotAllowed
from dataspace.holders import Holder, HolderKind
from dataspace.mandates import Actor
from dataspace.permission import GrantedItem, Permission, ReadRefused
from dataspace.vault import Vault

VCT = "urn:dataspace:certificate:1"
TYP = "dc+sd-jwt"
LIFE = dt.timedelta(days=90)  # at most: it says what is right on one day
MAX_LIVING = 20  # of one consent
MAX_ROWS = 1000  # of an item: somebody has to read it
DATA, ABOUT = "data", "about"  # where what can be shown stands
CERTIFIABLE = frozenset({"raw", "derived"})  # a certificate is a copy: none of what is only looked at or compared


class NotCertifiable(Conflict):
    code = "not_certifiable"
    sentence = "No certificate can be made of this data: there is none, or it may only be looked at or compared."


class TooManyCertificates(Conflict):
    code = "too_many_certificates"
    sentence = "There are 20 certificates from this authorization already. Revoke one that you do not need."


class ConsentNotActive(Conflict):
    code = "consent_not_active"
    sentence = "The authorization is not active, so no certificate can be made from it."


@dataclass(frozen=True, kw_only=True)
class Made:
    """A certificate that was made, with everything that it can show."""

    certificate: DataCertificate
    issued: SdJwt


def certifiable(consent_id: str) -> list[GrantedItem]:
    """The items of a consent over which its holder could have a certificate."""
    granted = db.session.scalar(
        select(ConsentVersion.granted)
        .join(Consent, (Consent.consent_id == ConsentVersion.consent_id) & (Consent.version == ConsentVersion.version))
        .where(Consent.consent_id == consent_id)
    )
    return [item for item in granted_items(granted or []) if item.delivery in CERTIFIABLE]


def for_holder(consent_id: str, item_id: str, actor: Actor, now: dt.datetime, *, registry: Registry) -> Made:
    """The holder has one made. It is nobody's read: what is in it leaves when she shows it.

    It is bound to no key: a passkey signs for this site and nothing else, so a presentation is bound by its link, which
    opens once. Raises NotFound, NotAllowed (an agent of a company), ConsentNotActive, NotCertifiable,
    TooManyCertificates.
    """
    lifecycle.of_space(consent_id, actor.space_id)
    if not pauses.may_resume(actor):
        raise NotAllowed("what lets data leave needs somebody who decides alone")
    consent = history.hold(consent_id)
    if why_inactive(facts_of(consent_id), now) is not None:
        raise ConsentNotActive
    chosen = [item for item in certifiable(consent_id) if item.item_id == item_id]
    if not chosen:
        raise NotCertifiable("not granted, or only to look at or compare")
    registry.vault.hold_records_key(consent.space_id)  # whoever deletes the record waits, and finds the certificate
    try:
        (delivered,) = extracts.deliver(permission_of(consent), chosen, now, vault=registry.vault)
    except ReadRefused as error:
        raise NotCertifiable(error.reason) from None
    return _make(consent, delivered, now, made_by=By.HOLDER, actor_id=actor.person_id, registry=registry)


def for_client(
    permission: Permission, item_id: str, now: dt.datetime, *, key: dict[str, Any] | None, registry: Registry
) -> Made:
    """The client has one made: a read like any other, with its line in the access log.

    ``key``: the public key that its token is bound to, by which it can show that the certificate is its own. Raises
    ReadRefused, QuotaExhausted, FrequencyExceeded, NotCertifiable, TooManyCertificates.
    """
    consent = history.hold(permission.consent_id)
    inactive = why_inactive(facts_of(permission.consent_id), now)
    if inactive is not None:
        raise ReadRefused(inactive.reason.value, permission=permission, since=inactive.since)
    (granted,) = extracts.granted_items(permission, [item_id])
    if granted.delivery not in CERTIFIABLE:
        raise NotCertifiable("only to look at or compare")
    registry.vault.hold_records_key(consent.space_id)  # as above
    with connection().begin_nested():  # what comes of no certificate was no read: its refusal is written instead
        delivery = extracts.read(permission, [item_id], now, vault=registry.vault)
        (delivered,) = delivery.items
        return _make(
            consent, delivered, now, made_by=By.CLIENT, actor_id=None, delivery_id=delivery.delivery_id, key=key,
            registry=registry,
        )  # fmt: skip


def permission_of(consent: Consent) -> Permission:
    """What a consent allows, for a holder who lets somebody see the same: no read of its client, so none is counted."""
    client = db.session.get_one(Client, consent.client_id)
    version = db.session.get_one(ConsentVersion, (consent.consent_id, consent.version))
    return Permission(
        client_id=client.client_id,
        recipient=client.legal_name["zh_hans"],
        consent_id=consent.consent_id,
        consent_version=consent.version,
        space_id=consent.space_id,
        purpose=consent.purpose_text["zh_hans"],
        purpose_code=consent.purpose_code,
        reference_no=consent.reference_no,
        items=granted_items(version.granted),
        max_reads=None,
        auth_time=consent.created_at,
        acr="",
    )


def _make(
    consent: Consent, delivered: Delivered, now: dt.datetime, *, made_by: By, actor_id: str | None,
    delivery_id: str | None = None, key: dict[str, Any] | None = None, registry: Registry,
) -> Made:  # fmt: skip
    values = _values(delivered)
    if not values or delivered.as_of is None:
        raise NotCertifiable("the space holds no such record")
    if len(delivered.rows) > MAX_ROWS:
        raise NotCertifiable("too many rows")
    if data_certificates.living(consent.consent_id) >= MAX_LIVING:
        raise TooManyCertificates
    list_id, index = status_lists.take_place(now)
    certificate = DataCertificate(
        certificate_id=new_id("crt"), space_id=consent.space_id, consent_id=consent.consent_id,
        consent_version=consent.version, client_id=consent.client_id, made_by=made_by.value,
        item_id=delivered.item_id, item_version=delivered.item_version, field_ids=list(values),
        record_id=delivered.record_id, delivery_id=delivery_id, list_id=list_id, status_index=index, issued_at=now,
        expires_at=min(consent.expires_at, now + LIFE),
    )  # fmt: skip
    claims = _claims(certificate, delivered, delivered.as_of, key, registry.issuer)
    hidden = {DATA: values, ABOUT: _about(consent, delivery_id, registry.vault)}
    issued = sd_jwt.issue(claims, hidden, registry.keyring.signing_key(KeyUse.CERTIFICATES, now), typ=TYP)
    data_certificates.add(certificate, issued, now, actor_id=actor_id, vault=registry.vault)
    return Made(certificate=certificate, issued=issued)


def _values(delivered: Delivered) -> dict[str, Any]:
    """Field by field; of an item with several rows the list of its values, row by row. Empty fields are left out."""
    if not delivered.rows:
        return {}
    fields = [field for field in delivered.rows[0] if field not in delivered.empty]
    if delivered.many:
        return {field: [row[field] for row in delivered.rows] for field in fields}
    return {field: delivered.rows[0][field] for field in fields}


def _claims(
    certificate: DataCertificate, delivered: Delivered, as_of: dt.datetime, key: dict[str, Any] | None, issuer: str
) -> dict[str, Any]:
    """What everybody sees to whom anything is shown (SD-JWT VC section 3.2.2)."""
    version = (delivered.item_id, delivered.item_version)
    item = catalogue.versions([version])[version]
    said = {
        "iss": issuer,
        "vct": VCT,
        "iat": int(certificate.issued_at.timestamp()),
        "exp": int(certificate.expires_at.timestamp()),
        "certificate_no": certificate.certificate_id,
        "status": status_lists.claim(status_uri(issuer, certificate.list_id), certificate.status_index),
        "item": {
            "id": delivered.item_id,
            "version": delivered.item_version,
            "label": item.labels,
            **provenance(delivered, as_of),
            "rows": len(delivered.rows) if delivered.many else None,
        },
        "labels": {field: item.field(field)["label"] for field in certificate.field_ids},
    }
    return said if key is None else said | {"cnf": {"jwk": key}}


def status_uri(issuer: str, list_id: str) -> str:
    """Where everybody can fetch a status list."""
    return f"{issuer}/certificates/status/{list_id}"


def _about(consent: Consent, delivery_id: str | None, vault: Vault) -> dict[str, Any]:
    """About whom, for whom, what for; shown only if it is chosen, too."""
    holder = db.session.get_one(Holder, consent.holder_id)
    profile = holders.profiles({holder.holder_id}, vault=vault)[holder.holder_id]
    person = holder.kind == HolderKind.NATURAL_PERSON
    identifier = profile.masked_identifier if person else holders.identifier_of(holder, vault=vault)
    said = {
        "subject": profile.name,
        "subject_identifier": identifier,
        "recipient": db.session.get_one(Client, consent.client_id).legal_name,
        "purpose": consent.purpose_text,
        "consent": {"id": consent.consent_id, "version": consent.version},
    }
    return said if delivery_id is None else said | {"delivery": delivery_id}
