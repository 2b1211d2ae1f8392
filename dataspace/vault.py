"""Envelope encryption: data keys of spaces and of parts of them, wrapped by a wrapping key; erasure destroys keys."""

import datetime as dt
import pkgutil
import secrets
from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import ForeignKey, LargeBinary, String, delete, func, select, update
from sqlalchemy.orm import Mapped, mapped_column

from dataspace.db import Model, connection, db, table_of
from dataspace.errors import SettingsError
from dataspace.key_file import FileKeys
from dataspace.sealing import Unreadable
from dataspace.settings import Settings
from dataspace.wrapping import KeyProvider, Keys, WrappingKey


class DataKey(Model):
    """The wrapped data key of one space; ``wrapped`` is NULL once the key is destroyed.

    ``records_wrapped``: of the key of its records, once they have one of their own (:mod:`dataspace.record_erasure`).
    """

    __tablename__ = "data_keys"
    space_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    wrapped: Mapped[bytes | None] = mapped_column(LargeBinary)
    records_wrapped: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[dt.datetime]
    destroyed_at: Mapped[dt.datetime | None]


class PartKey(Model):
    """The wrapped key of one part of a space that goes by itself, such as a certificate; no row once destroyed."""

    __tablename__ = "part_keys"
    part_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    space_id: Mapped[str] = mapped_column(ForeignKey("data_keys.space_id"), index=True)
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)


# What opens the records of a space.
OF_RECORDS = func.coalesce(DataKey.records_wrapped, DataKey.wrapped)


class Vault:
    """Opens and makes data keys. One per application, built from the settings."""

    def __init__(self, keys: KeyProvider) -> None:
        self.keys = keys

    def wrap(self, secret: bytes, *, identity: str) -> bytes:
        """Seal a small secret (a data key, a private key) under the current wrapping key."""
        return self.keys.wrap(secret, identity=identity)

    def unwrap(self, wrapped: bytes | None, *, identity: str) -> bytes:
        """The secret again. Raises Unreadable, also when it was destroyed (None)."""
        if wrapped is None:
            raise Unreadable(f"key of {identity} was destroyed")
        return self.keys.unwrap(wrapped, identity=identity)

    def create_key(self, space_id: str, now: dt.datetime) -> bytes:
        """Add a fresh data key for a space to the session and return it in clear."""
        key = secrets.token_bytes(32)
        db.session.add(DataKey(space_id=space_id, wrapped=self.wrap(key, identity=space_id), created_at=now))
        return key

    def destroy_key(self, space_id: str, now: dt.datetime) -> None:
        """Destroy the keys of a space and of its parts: nothing of it opens any more. That it was there stays."""
        row = db.session.get_one(DataKey, space_id, populate_existing=True)
        row.wrapped, row.records_wrapped, row.destroyed_at = None, None, row.destroyed_at or now
        connection().execute(delete(table_of(PartKey)).where(PartKey.space_id == space_id))

    def key(self, space_id: str) -> bytes:
        """The data key of a space. Raises Unreadable when it was destroyed or never existed."""
        row = db.session.get(DataKey, space_id)
        return self.unwrap(row.wrapped if row else None, identity=space_id)

    def records_key(self, space_id: str) -> bytes:
        """The key of the records of a space, looked up anew. Raises Unreadable as :meth:`key` does."""
        found = db.session.scalar(select(OF_RECORDS).where(DataKey.space_id == space_id))
        return self.unwrap(found, identity=space_id)

    def hold_records_key(self, space_id: str) -> bytes:
        """The same for whoever writes records: nobody changes it before the end of the transaction."""
        # An UPDATE, because SQLite takes its lock no other way.
        db.session.execute(update(DataKey).where(DataKey.space_id == space_id).values(space_id=space_id))
        return self.records_key(space_id)

    def change_records_key(self, space_id: str) -> bytes:
        """Another key for the records of a space, in place of the one that the caller holds; in clear."""
        key = secrets.token_bytes(32)
        wrapped = self.wrap(key, identity=space_id)
        db.session.execute(update(DataKey).where(DataKey.space_id == space_id).values(records_wrapped=wrapped))
        return key

    def create_part_key(self, part_id: str, space_id: str) -> bytes:
        """Add a fresh key for a part of a space to the session and return it in clear."""
        key = secrets.token_bytes(32)
        db.session.add(PartKey(part_id=part_id, space_id=space_id, wrapped=self.wrap(key, identity=part_id)))
        return key

    def part_key(self, part_id: str) -> bytes:
        """The key of a part, looked up anew. Raises Unreadable when it was destroyed or never existed."""
        found = db.session.scalar(select(PartKey.wrapped).filter_by(part_id=part_id))
        return self.unwrap(found, identity=part_id)


def destroy_part_keys(part_ids: Iterable[str]) -> None:
    """What was sealed under the keys of these parts opens no more."""
    connection().execute(delete(table_of(PartKey)).where(PartKey.part_id.in_(list(part_ids))))


def provider(settings: Settings) -> KeyProvider:
    """What the settings name: keys of their own, a file, or a provider of somebody else's. Raises SettingsError."""
    if settings.wrapping_key_file:
        return FileKeys(Path(settings.wrapping_key_file))
    if settings.key_provider:
        return _foreign(settings.key_provider)
    return Keys([WrappingKey(secret) for secret in (settings.wrapping_key, *settings.other_wrapping_keys)])


def _foreign(name: str) -> KeyProvider:
    """``package.module:callable``, called without arguments."""
    try:
        made = pkgutil.resolve_name(name)()
    except (ValueError, ImportError, AttributeError, TypeError) as error:
        raise SettingsError(f"DATASPACE_KEY_PROVIDER: {name} cannot be used: {error}") from None
    if not isinstance(made, KeyProvider):
        raise SettingsError(f"DATASPACE_KEY_PROVIDER: what {name} makes is no provider of keys")
    return made
