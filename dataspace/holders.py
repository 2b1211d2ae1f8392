"""Holders: natural persons, legal entities, unincorporated bodies, each with one space; and the roles of persons.

Names and identifiers are sealed under the space's own key; a holder is found by the blind index of the identifier.
"""

import datetime as dt
import enum
import json
import secrets
from dataclasses import dataclass

from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import Mapped, mapped_column

from dataspace.db import Model, db, new_id
from dataspace.errors import Conflict, NotFound
from dataspace.identifiers import BlindIndex, Identifier, mask
from dataspace.sealing import seal, unseal
from dataspace.vault import DataKey, Vault


class HolderKind(enum.StrEnum):
    NATURAL_PERSON = "natural_person"
    LEGAL_ENTITY = "legal_entity"
    UNINCORPORATED = "unincorporated"


class Role(enum.StrEnum):
    ADMINISTRATOR = "administrator"


class Holder(Model):
    """``sealed_profile``: JSON {name, identifier} under the space's key, bound to the holder id."""

    __tablename__ = "holders"
    holder_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    identifier_index: Mapped[str] = mapped_column(String(64), unique=True)
    space_id: Mapped[str] = mapped_column(ForeignKey("data_keys.space_id"), unique=True)
    sealed_profile: Mapped[bytes]
    created_at: Mapped[dt.datetime]
    closed_at: Mapped[dt.datetime | None]


class HolderRole(Model):
    """A role of a natural person in this service."""

    __tablename__ = "holder_roles"
    holder_id: Mapped[str] = mapped_column(ForeignKey("holders.holder_id"), primary_key=True)
    role: Mapped[str] = mapped_column(String(20), primary_key=True)
    granted_at: Mapped[dt.datetime]


@dataclass(frozen=True)
class Profile:
    """What a holder is called. ``masked_identifier`` shows the first three and last two characters only."""

    name: str
    masked_identifier: str


def register(
    kind: HolderKind, identifier: Identifier, name: str, now: dt.datetime, *, vault: Vault, index: BlindIndex
) -> Holder:
    """Add a holder and the key of its space to the session. Raises Conflict when the identifier is known already."""
    blind = index.of(identifier)
    if db.session.scalar(select(Holder.holder_id).where(Holder.identifier_index == blind)):
        raise Conflict("identifier is registered already")
    holder_id, space_id = new_id("hld"), new_id("spc")
    key = vault.create_key(space_id, now)
    db.session.flush()
    profile = json.dumps({"name": name, "identifier": identifier.value}, ensure_ascii=False).encode()
    holder = Holder(
        holder_id=holder_id,
        kind=kind,
        identifier_index=blind,
        space_id=space_id,
        sealed_profile=seal(key, profile, identity=holder_id),
        created_at=now,
    )
    db.session.add(holder)
    db.session.flush()
    return holder


def by_identifier(identifier: Identifier, *, index: BlindIndex) -> Holder:
    """Raises NotFound."""
    holder = db.session.scalar(select(Holder).where(Holder.identifier_index == index.of(identifier)))
    if holder is None:
        raise NotFound("no holder with this identifier")
    return holder


def get(holder_id: str) -> Holder:
    """Raises NotFound."""
    holder = db.session.get(Holder, holder_id)
    if holder is None:
        raise NotFound("no such holder")
    return holder


def close(holder_id: str, now: dt.datetime) -> None:
    """Close a space for good. The identifier leads to it no more, so its holder may be registered anew."""
    holder = get(holder_id)
    holder.closed_at, holder.identifier_index = holder.closed_at or now, f"closed_{secrets.token_hex(24)}"


def profiles(holder_ids: set[str], *, vault: Vault) -> dict[str, Profile]:
    """Names of many holders in one query; those whose key was destroyed are left out."""
    rows = db.session.execute(
        select(Holder.holder_id, Holder.space_id, Holder.sealed_profile, DataKey.wrapped)
        .join(DataKey, DataKey.space_id == Holder.space_id)
        .where(Holder.holder_id.in_(holder_ids), DataKey.wrapped.is_not(None))
    )
    found = {}
    for holder_id, space_id, sealed, wrapped in rows:
        key = vault.unwrap(wrapped, identity=space_id)
        data = json.loads(unseal(key, sealed, identity=holder_id))
        found[holder_id] = Profile(data["name"], mask(data["identifier"]))
    return found


def identifier_of(holder: Holder, *, vault: Vault) -> str:
    """The identifier itself, unsealed: for a decision about the holder, never to be stored or shown."""
    data = json.loads(unseal(vault.key(holder.space_id), holder.sealed_profile, identity=holder.holder_id))
    return str(data["identifier"])


def roles(holder_id: str) -> frozenset[Role]:
    """The roles of a natural person."""
    return frozenset(Role(r) for r in db.session.scalars(select(HolderRole.role).filter_by(holder_id=holder_id)))


def grant_role(holder: Holder, role: Role, now: dt.datetime) -> None:
    """Give a natural person a role; nothing happens when the person has it already."""
    if role not in roles(holder.holder_id):
        db.session.add(HolderRole(holder_id=holder.holder_id, role=role, granted_at=now))
