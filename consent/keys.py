"""Server signing keys: what each is for, rotation without a restart, the public JWK set.

A key is published before it signs and stays published until its last signature is worth nothing. Keys that sign
consent records or certificates are published for ever: these must verify for as long as somebody keeps them. The
private half is stored wrapped, bound to its kid, and destroyed once the key has retired.

While the clock is behind every key nothing is signed but records: a withdrawal is written down, whatever time it is.
"""

import datetime as dt
import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sqlalchemy import Index, LargeBinary, String, or_, select, text, update
from sqlalchemy.orm import Mapped, mapped_column

from dataspace import jose
from dataspace.db import Model, db
from dataspace.errors import Conflict, DomainError
from dataspace.rewrapping import Wrapped
from dataspace.vault import Vault


class KeyUse(enum.StrEnum):
    """What a key signs. One key never signs two kinds of things, so that none can be taken for another."""

    TOKENS = "tokens"  # what we sign often: access tokens, introspection answers, responses
    ID_TOKEN = "id_token"  # noqa: S105 - the name of a use
    RECORDS = "records"  # consent records and receipts
    CERTIFICATES = "certificates"  # certificates over delivered data, and the lists of their statuses


# The first algorithm of each use is its default. RS256 for ID tokens because every relying party's library knows it
# (OpenID Connect Core section 15.1); ES256 elsewhere because it signs ten times as fast. Answers are signed with what
# the client has registered, access tokens and records with the default.
ALGORITHMS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        KeyUse.TOKENS: ("ES256", "PS256", "RS256"),
        KeyUse.ID_TOKEN: ("RS256", "ES256", "PS256"),
        KeyUse.RECORDS: ("ES256",),
        KeyUse.CERTIFICATES: ("ES256",),
    }
)
# How long a retired key stays published. Access tokens live 10 minutes at most; an ID token 5 minutes, but it comes
# back as id_token_hint for as long as a session may last.
KEPT: Mapping[str, dt.timedelta | None] = MappingProxyType(
    {
        KeyUse.TOKENS: dt.timedelta(hours=1),
        KeyUse.ID_TOKEN: dt.timedelta(days=1),
        KeyUse.RECORDS: None,
        KeyUse.CERTIFICATES: None,  # one that was used stays evidence of what was shown
    }
)
# What is signed although the clock was set back behind its keys: by the earliest of those that can.
AT_ANY_TIME = frozenset({KeyUse.RECORDS})
JWKS_MAX_AGE = dt.timedelta(minutes=5)  # Cache-Control of the JWK set
RING_AGE = dt.timedelta(seconds=30)  # how long a process trusts what it last read of the table
MISS_AGE = dt.timedelta(seconds=1)  # the same when a kid is unknown; more often a stranger cannot make us look
# From publication to first use. Longer than every cache on the way: ours, then the relying party's.
OVERLAP = dt.timedelta(minutes=10)


class NoKey(DomainError):
    """There is no key to sign with: ``flask keys generate`` has not run."""

    code = "no_signing_key"
    sentence = "The service is not ready."
    status = 503


class ServerKey(Model):
    """One key pair. Signs from ``active_from`` until ``retire_at``; published until ``remove_at`` (None: for ever)."""

    __tablename__ = "server_keys"
    __table_args__ = (
        # Two rotations at once: the second fails instead of leaving two keys to choose from.
        Index(
            "uq_server_keys_current",
            "purpose",
            "alg",
            unique=True,
            sqlite_where=text("retire_at IS NULL"),
            postgresql_where=text("retire_at IS NULL"),
        ),
    )
    kid: Mapped[str] = mapped_column(String(43), primary_key=True)  # the key's thumbprint (RFC 7638)
    alg: Mapped[str] = mapped_column(String(8))
    purpose: Mapped[str] = mapped_column(String(12))
    public_jwk: Mapped[dict[str, Any]]
    wrapped_private: Mapped[bytes | None] = mapped_column(LargeBinary)
    created_at: Mapped[dt.datetime]
    active_from: Mapped[dt.datetime]
    retire_at: Mapped[dt.datetime | None]
    remove_at: Mapped[dt.datetime | None]


PRIVATE_KEYS = Wrapped(ServerKey, "kid", "wrapped_private")


def generate(
    alg: str, purpose: str, now: dt.datetime, vault: Vault, *, active_from: dt.datetime | None = None
) -> ServerKey:
    """Add a new key to the session, in use at once by default. Raises Conflict when there is one not yet retired."""
    if db.session.scalar(select(ServerKey.kid).filter_by(alg=alg, purpose=purpose, retire_at=None)):
        raise Conflict(f"there is a key for {purpose} with {alg}; rotate it")
    private = jose.generate_key(alg)
    kid = jose.thumbprint(jose.public_jwk(private))
    key = ServerKey(
        kid=kid,
        alg=alg,
        purpose=KeyUse(purpose),
        public_jwk=jose.public_jwk(private, kid=kid, alg=alg, use="sig"),
        wrapped_private=vault.wrap(jose.dump_private_key(private), identity=kid),
        created_at=now,
        active_from=active_from or now,
    )
    db.session.add(key)
    db.session.flush()
    return key


def generate_missing(now: dt.datetime, vault: Vault) -> list[ServerKey]:
    """A first key for every use and algorithm that has none; nothing the second time."""
    rows = db.session.execute(select(ServerKey.purpose, ServerKey.alg).filter_by(retire_at=None))
    there = {(purpose, alg) for purpose, alg in rows}
    wanted = [(purpose, alg) for purpose, algs in ALGORITHMS.items() for alg in algs]
    return [generate(alg, purpose, now, vault) for purpose, alg in wanted if (purpose, alg) not in there]


def rotate(now: dt.datetime, vault: Vault) -> list[ServerKey]:
    """Publish a next key for every current one; it takes over when OVERLAP has passed. Returns the next keys.

    Raises Conflict while an earlier rotation is under way: its key may not be in the caches yet.
    """
    handover = now + OVERLAP
    current = db.session.scalars(select(ServerKey).filter_by(retire_at=None).order_by(ServerKey.kid)).all()
    if any(key.active_from > now for key in current):
        raise Conflict("a rotation is under way")
    for key in current:
        kept = KEPT[key.purpose]
        key.retire_at, key.remove_at = handover, None if kept is None else handover + kept
    db.session.flush()
    return [generate(key.alg, key.purpose, now, vault, active_from=handover) for key in current]


def destroy_retired(now: dt.datetime) -> int:
    """Destroy the private half of keys that sign no more. Returns how many."""
    retired = (ServerKey.retire_at <= now, ServerKey.wrapped_private.is_not(None))
    statement = update(ServerKey).where(*retired).values(wrapped_private=None)
    return db.session.connection().execute(statement).rowcount


@dataclass(frozen=True, kw_only=True)
class _Entry:
    kid: str
    alg: str
    purpose: str
    public: jose.PublicKey
    wrapped_private: bytes | None = field(repr=False)
    active_from: dt.datetime
    retire_at: dt.datetime | None
    remove_at: dt.datetime | None

    def signs(self, now: dt.datetime) -> bool:
        return self.active_from <= now and self.can_sign(now)

    def can_sign(self, now: dt.datetime) -> bool:
        """Not retired yet; one that was, before the clock was set back, has no private half any more."""
        return self.wrapped_private is not None and (self.retire_at is None or now < self.retire_at)

    def published(self, now: dt.datetime) -> bool:
        return self.remove_at is None or now < self.remove_at


@dataclass(frozen=True)
class _Ring:
    read_at: dt.datetime
    entries: tuple[_Entry, ...]

    def fresh(self, now: dt.datetime, age: dt.timedelta) -> bool:
        # Either way round: a clock that went back makes us look again, a request that began a moment earlier does not.
        return abs(now - self.read_at) < age


class Keyring:
    """The keys as one application sees them: read from the table at most every RING_AGE, so rotation needs no restart.

    Threads share it without a lock: a ring is replaced as a whole, and reading it twice does no harm.
    """

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._ring: _Ring | None = None
        self._private: dict[str, jose.SigningKey] = {}  # unwrapped once

    def signing_key(self, purpose: str, now: dt.datetime, alg: str | None = None) -> jose.SigningKey:
        """The key in use for ``purpose``, with its default algorithm if none is asked for. Raises NoKey."""
        alg = alg or ALGORITHMS[purpose][0]
        # Where no key was found the table is asked again: the very first keys may have come a moment ago.
        entry = self._signing_entry(purpose, alg, now, RING_AGE) or self._signing_entry(purpose, alg, now)
        if entry is None:
            raise NoKey(f"no key for {purpose} with {alg}")
        return self._private.get(entry.kid) or self._unwrap(entry)

    def public_jwk_set(self, now: dt.datetime, *, purpose: str | None = None) -> dict[str, Any]:
        """The JWK set to publish (RFC 7517 section 5), oldest key first; those not yet in use included.

        ``purpose``: only the keys of this use.
        """
        published = [entry for entry in self._entries(now, RING_AGE) if entry.published(now)]
        return {"keys": [entry.public.jwk for entry in published if purpose in (None, entry.purpose)]}

    def verification_key(self, kid: str, *, purpose: str, now: dt.datetime) -> jose.PublicKey:
        """The key by which we know our own signature again. Raises UnknownKey, also once it is published no more."""
        for age in (RING_AGE, MISS_AGE):
            for entry in self._entries(now, age):
                if entry.kid == kid and entry.purpose == purpose and entry.published(now):
                    return entry.public
        raise jose.UnknownKey("no such key of ours")

    def _signing_entry(
        self, purpose: str, alg: str, now: dt.datetime, age: dt.timedelta = dt.timedelta(0)
    ) -> _Entry | None:
        able = [e for e in self._entries(now, age) if (e.purpose, e.alg) == (purpose, alg) and e.can_sign(now)]
        if signing := [e for e in able if e.signs(now)]:
            return signing[-1]
        return min(able, key=lambda e: e.active_from) if able and purpose in AT_ANY_TIME else None

    def _unwrap(self, entry: _Entry) -> jose.SigningKey:
        der = self._vault.unwrap(entry.wrapped_private, identity=entry.kid)
        key = jose.SigningKey(kid=entry.kid, alg=entry.alg, private_key=jose.load_private_key(der))
        self._private[entry.kid] = key
        return key

    def _entries(self, now: dt.datetime, age: dt.timedelta) -> tuple[_Entry, ...]:
        ring = self._ring
        if ring is None or not ring.fresh(now, age):
            ring = self._ring = _Ring(now, _read(now))
            signing = {entry.kid for entry in ring.entries if entry.retire_at is None or now < entry.retire_at}
            self._private = {kid: key for kid, key in self._private.items() if kid in signing}
        return ring.entries


def _read(now: dt.datetime) -> tuple[_Entry, ...]:
    rows = db.session.execute(
        select(
            ServerKey.kid,
            ServerKey.alg,
            ServerKey.purpose,
            ServerKey.public_jwk,
            ServerKey.wrapped_private,
            ServerKey.active_from,
            ServerKey.retire_at,
            ServerKey.remove_at,
        )
        .where(or_(ServerKey.remove_at.is_(None), ServerKey.remove_at > now))
        .order_by(ServerKey.created_at, ServerKey.kid)
    )
    return tuple(
        _Entry(
            kid=kid,
            alg=alg,
            purpose=purpose,
            public=jose.public_key(jwk),
            wrapped_private=wrapped,
            active_from=active_from,
            retire_at=retire_at,
            remove_at=remove_at,
        )
        for kid, alg, purpose, jwk, wrapped, active_from, retire_at, remove_at in rows
    )
