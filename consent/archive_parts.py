"""What is in an archive, for programs: JSON files, written row by row, so that the size of a space is no matter.

``records.json`` holds every version of every record with its salt, from which its digest can be computed anew
(SHA-256 over {rows, salt} in canonical form, RFC 8785). docs/archive.md says what every file holds.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import func, or_, select, tuple_, update

from consent import cases, data_certificates
from consent.cases import Case
from consent.data_certificates import By, CertificateStep, DataCertificate
from consent.receipts import Receipt, Signed, evidence_of
from consent.records import Consent, ConsentEvent, ConsentNotice, ConsentVersion
from dataspace import mail
from dataspace.accesses import Access
from dataspace.catalogue import DataItem
from dataspace.db import db, table_of
from dataspace.holders import Holder
from dataspace.mandates import Mandate
from dataspace.messages import Message
from dataspace.passkeys import Passkey
from dataspace.sealing import unseal
from dataspace.signins import SignIn
from dataspace.spaces import Record
from dataspace.vault import DataKey, Vault

ROWS = 200  # read at once


@dataclass(frozen=True)
class Part:
    """One file of an archive. ``counts``: what each of its chunks adds to the progress."""

    name: str
    chunks: Iterable[bytes]
    counts: int = 0


def hold_space(space_id: str) -> Any:
    """A statement that locks a space until the transaction ends; SQLite has no other lock than that of an UPDATE."""
    key = table_of(DataKey).c
    return update(table_of(DataKey)).where(key.space_id == space_id).values(created_at=key.created_at)


def count(space_id: str) -> int:
    """How many rows :func:`parts` will write, about."""
    receipts = select(func.count()).join_from(Receipt, Consent, Consent.consent_id == Receipt.consent_id)
    of = (
        select(func.count()).where(t.space_id == space_id) for t in (Record, Consent, DataCertificate, Access, Message)
    )
    return sum(db.session.scalar(one) or 0 for one in (receipts.where(Consent.space_id == space_id), *of))


def parts(space_id: str, vault: Vault) -> Iterator[Part]:
    """Every file, in order. Raises Unreadable when the space is erased."""
    key = vault.key(space_id)
    holder = db.session.scalars(select(Holder).filter_by(space_id=space_id)).one()
    yield Part("space/holder.json", [_holder(holder, key)])
    yield Part("space/mandates.json", array(_mandates(holder.holder_id)))
    yield Part("space/passkeys.json", array(_passkeys(holder.holder_id)))
    yield Part("space/signins.json", array(_signins(holder.holder_id)))
    yield Part("space/mail.json", [_json(_mail(space_id, vault))])
    yield Part("space/messages.json", array(_messages(space_id)), 1)
    yield Part("data/items.json", array(_items(space_id)))
    yield Part("data/records.json", array(_records(space_id, vault.records_key(space_id))), 1)
    yield Part("authorizations/authorizations.json", array(_consents(space_id, key)), 1)
    for receipt in _receipts(space_id):
        signed = Signed.unpack(unseal(key, receipt.sealed, identity=receipt.receipt_id))
        yield Part(f"authorizations/receipts/{receipt.receipt_id}.json", [signed.file_with(evidence_of(receipt))], 1)
    yield from _certificates(space_id, key, vault)
    yield Part("cases/cases.json", array(_cases(space_id, vault)))
    yield Part("reads/reads.json", array(_reads(space_id)), 1)


def certificate_keys(jwk_set: dict[str, Any]) -> Part:
    """The public keys by which the certificates in the same archive are checked: its signed list vouches for them."""
    return Part("certificates/keys.json", [_json(jwk_set)])


def array(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    """A JSON array, a row a line, a row a chunk."""
    before = b"[\n"
    for row in rows:
        yield before + _json(row)
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def pages(query: Any, *keys: Any) -> Iterator[Any]:
    """The rows of a query in the order of unique ``keys``, which it selects, ROWS at a time.

    No cursor stays open between, for the worker commits meanwhile.
    """
    ordered, after = query.order_by(*keys).limit(ROWS), None
    while True:
        found = db.session.execute(ordered if after is None else ordered.where(tuple_(*keys) > after)).all()
        yield from found
        if len(found) < ROWS:
            return
        after = tuple_(*(getattr(found[-1], key.key) for key in keys))


def _json(value: Any) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)


def _row(row: Any, *without: str) -> dict[str, Any]:
    members = {name: value for name, value in row._asdict().items() if name not in without}
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in members.items()}


def columns(model: Any, *without: str) -> list[Any]:
    """What to select for :func:`pages`, which must not hold whole rows of a session."""
    return [getattr(model, c.name) for c in table_of(model).columns if c.name not in without]


def _holder(holder: Holder, key: bytes) -> bytes:
    profile = json.loads(unseal(key, holder.sealed_profile, identity=holder.holder_id))
    head = {"holder_id": holder.holder_id, "space_id": holder.space_id, "kind": holder.kind}
    return _json(head | profile | {"created_at": holder.created_at})


def _mandates(holder_id: str) -> Iterator[dict[str, Any]]:
    mine = or_(Mandate.principal_id == holder_id, Mandate.agent_id == holder_id)
    return (_row(row) for row in pages(select(*columns(Mandate)).where(mine), Mandate.mandate_id))


def _passkeys(holder_id: str) -> Iterator[dict[str, Any]]:
    mine = select(*columns(Passkey, "credential_id", "public_key", "sign_count")).where(Passkey.person_id == holder_id)
    return (_row(row) for row in pages(mine, Passkey.passkey_id))


def _signins(holder_id: str) -> Iterator[dict[str, Any]]:
    mine = select(*columns(SignIn, "secret_digest")).where(SignIn.person_id == holder_id)
    return (_row(row) for row in pages(mine, SignIn.signin_id))


def _mail(space_id: str, vault: Vault) -> dict[str, Any]:
    standing = mail.standing(space_id, vault=vault)
    return {"address": standing.confirmed, "with_receipts": standing.with_receipts}


def _messages(space_id: str) -> Iterator[dict[str, Any]]:
    mine = select(*columns(Message, "once")).where(Message.space_id == space_id)
    return (_row(row, "space_id") for row in pages(mine, Message.message_id))


def _items(space_id: str) -> Iterator[dict[str, Any]]:
    held = select(Record.item_id, Record.item_version).where(Record.space_id == space_id)
    mine = select(*columns(DataItem)).where(tuple_(DataItem.item_id, DataItem.version).in_(held))
    return (_row(row) for row in pages(mine, DataItem.item_id, DataItem.version))


def _records(space_id: str, key: bytes) -> Iterator[dict[str, Any]]:
    mine = select(*columns(Record)).where(Record.space_id == space_id, Record.erased_at.is_(None))
    for row in pages(mine, Record.item_id, Record.version):
        content = orjson.loads(unseal(key, row.sealed, identity=row.record_id))
        yield _row(row, "sealed", "space_id") | {"salt": content["salt"], "rows": content["rows"]}


def _consents(space_id: str, key: bytes) -> Iterator[dict[str, Any]]:
    """Each with its versions, events and texts as shown; three statements each."""
    mine = select(*columns(Consent)).where(Consent.space_id == space_id)
    for row in pages(mine, Consent.consent_id):
        own: dict[str, list[dict[str, Any]]] = {"versions": [], "events": [], "notices": []}
        for version in _of(ConsentVersion, row.consent_id, ConsentVersion.version):
            own["versions"].append(_row(version, "consent_id", "granted"))
        for event in _of(ConsentEvent, row.consent_id, ConsentEvent.seq):
            own["events"].append(_event(_row(event, "consent_id", "event_id")))
        for notice in _of(ConsentNotice, row.consent_id, ConsentNotice.version):
            text = unseal(key, notice.sealed, identity=f"{row.consent_id}:{notice.version}").decode()
            own["notices"].append({"version": notice.version, "digest": notice.digest, "text": text})
        yield _row(row, "space_id", "last_seq") | own


def _certificates(space_id: str, key: bytes, vault: Vault) -> Iterator[Part]:
    """Each with its whole life; and the SD-JWT with all that it can show, unless that was destroyed."""
    mine = select(*columns(DataCertificate, "last_seq", "emptied_after")).where(DataCertificate.space_id == space_id)
    for row in pages(mine, DataCertificate.certificate_id):
        steps = [_step(step, key) for step in data_certificates.steps(row.certificate_id)]
        file = f"certificates/{row.certificate_id}.sd-jwt" if row.sealed is not None else None
        life = _row(row, "sealed", "space_id") | {"file": file, "steps": steps}
        yield Part(f"certificates/{row.certificate_id}.json", [_json(life)], 1)
        if file is not None:
            yield Part(file, [data_certificates.content(row, vault=vault).show().encode()])


def _step(step: CertificateStep, key: bytes) -> dict[str, Any]:
    """What was kept with it in clear; of an administrator it tells the office, not the person."""
    return {
        "seq": step.seq, "kind": step.kind, "at": step.at, "by": step.by,
        "actor_id": None if step.by == By.OFFICE else step.actor_id, "reason_code": step.reason_code,
        "note": data_certificates.note_of(step, key), "salt": step.salt.hex() if step.salt else None,
    }  # fmt: skip


def _cases(space_id: str, vault: Vault) -> Iterator[dict[str, Any]]:
    """Each with what was written and answered; of an administrator it tells the office, not the person."""
    for row in pages(select(*columns(Case)).where(Case.space_id == space_id), Case.case_id):
        steps = cases.steps(db.session.get_one(Case, row.case_id), vault=vault)
        yield _row(row, "space_id", "last_seq") | {"steps": [_event(dataclasses.asdict(step)) for step in steps]}


def _event(row: dict[str, Any]) -> dict[str, Any]:
    """Of an administrator it tells the office, not the person, as receipts do."""
    return row | {"actor_id": None} if row["capacity"] == "administrator" else row


def _of(model: Any, consent_id: str, key: Any) -> Any:
    return db.session.execute(select(*columns(model)).where(model.consent_id == consent_id).order_by(key)).all()


def _receipts(space_id: str) -> Iterator[Any]:
    own = select(*columns(Receipt)).join(Consent, Consent.consent_id == Receipt.consent_id)
    return pages(own.where(Consent.space_id == space_id), Receipt.receipt_id)


def _reads(space_id: str) -> Iterator[dict[str, Any]]:
    mine = select(*columns(Access)).where(Access.space_id == space_id)
    return (_row(row, "space_id") for row in pages(mine, Access.access_id))
