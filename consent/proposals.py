"""Purposes that a client proposes about itself, and what an administrator decides about them.

A proposal has the form of a purpose in a scenario file and is checked like one. Until it is approved nobody can be
asked for anything in its name (:func:`consent.admission.admit`); what is approved is what was looked at.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from consent import clients, purposes, rules, scenarios
from consent.clients import Client, InvalidClientData
from consent.installation import Installation
from consent.purposes import Purpose
from dataspace import datafiles, jose
from dataspace.datafiles import Entry
from dataspace.db import db
from dataspace.errors import Conflict, DomainError, NotFound

MEMBER = "data_space_purposes"  # of the client metadata
MAX_PURPOSES = 20
# What a proposal says; the rest of a purpose is known of its client, or not for it to say.
FIELDS = (
    "code", "text", "holder_kinds", "mode", "max_reads", "frequency", "case_required", "max_duration_days",
    "default_duration_days", "retention", "storage_location", "methods", "items", "third_parties", "cross_border",
    "automated_decision",
)  # fmt: skip


class AgainstRules(DomainError):
    code = "against_rules"
    sentence = "The rules in force do not allow this purpose. It was not approved."
    status = 409


class InvalidProposal(InvalidClientData):
    sentence = "This purpose is incomplete or wrong."
    field = MEMBER


def document(purpose: Purpose) -> dict[str, Any]:
    """A purpose as it is proposed, without what is left out."""
    return {name: getattr(purpose, name) for name in FIELDS if getattr(purpose, name) not in (None, False)}


def digest(purpose: Purpose) -> str:
    """By which an administrator says which text was looked at."""
    return jose.digest(document(purpose))


def propose(client: Client, unverified: object, now: dt.datetime) -> None:
    """Put these in place of what the client has proposed before; what is approved stays. Raises InvalidProposal."""
    entries = _checked(client, unverified, now)
    withdraw(client.client_id)
    known = {purpose.code: purpose for purpose in purposes.of_client(client.client_id)}
    for entry in entries:
        values = scenarios.purpose_values(entry) | {"scenario": ""}
        approved = known.get(entry.name)
        if approved is None:
            db.session.add(Purpose(**values))
            clients.note(client.client_id, "client:purpose_proposed", now, actor_id=None, text=entry.name)
        elif any(getattr(approved, name) != values.get(name) for name in FIELDS):
            raise InvalidProposal(f"{entry.name} is approved as it is; propose a change under another code")
    db.session.flush()


def withdraw(client_id: str) -> None:
    """Drop what was proposed and is not decided."""
    for purpose in pending(client_id):
        db.session.delete(purpose)
    db.session.flush()


def pending(client_id: str) -> Sequence[Purpose]:
    """What waits for a decision, by code."""
    return [purpose for purpose in purposes.of_client(client_id) if purpose.approved_at is None]


def approve(
    client_id: str, code: str, now: dt.datetime, *, expected_digest: str, actor_id: str, reason_code: str, text: str
) -> None:
    """The client may ask for this from now on.

    Raises NotFound, Conflict (decided, or changed since it was seen), AgainstRules.
    """
    purpose = _seen(client_id, code, expected_digest)
    if against := purposes.never_admitted(purpose, rules.in_force(now)):
        raise AgainstRules(against[0].what)
    purpose.approved_at = now
    text = f"{code}: {text}"
    clients.note(client_id, "client:purpose_approved", now, actor_id=actor_id, reason_code=reason_code, text=text)


def refuse(
    client_id: str, code: str, now: dt.datetime, *, expected_digest: str, actor_id: str, reason_code: str, text: str
) -> None:
    """The proposal is dropped. Raises as :func:`approve`."""
    db.session.delete(_seen(client_id, code, expected_digest))
    text = f"{code}: {text}"
    clients.note(client_id, "client:purpose_refused", now, actor_id=actor_id, reason_code=reason_code, text=text)


def _seen(client_id: str, code: str, expected_digest: str) -> Purpose:
    found = db.session.scalar(select(Purpose).filter_by(client_id=client_id, code=code).with_for_update())
    if found is None:
        raise NotFound("no such purpose")
    if found.approved_at is not None or digest(found) != expected_digest:
        raise Conflict("decided, or changed since it was looked at")
    return found


def _checked(client: Client, unverified: object, now: dt.datetime) -> list[Entry]:
    if not isinstance(unverified, list) or not 1 <= len(unverified) <= MAX_PURPOSES:
        raise InvalidProposal(f"a list of 1 to {MAX_PURPOSES} purposes")
    known = {"client_id": client.client_id, "scenario": "0", "legal_basis": "consent", "contact": client.contact}
    said = [{**entry, **known} if isinstance(entry, dict) else entry for entry in unverified]
    validator = datafiles.schema(scenarios.SCHEMA)
    entries, problems = datafiles.judge(MEMBER, {"purposes": said}, validator, scenarios.NAMES)
    problems += scenarios.check_meaning(entries, now, here=Installation())
    if problems:
        raise InvalidProposal(problems[0].removeprefix(f"{MEMBER}: "))
    return entries
