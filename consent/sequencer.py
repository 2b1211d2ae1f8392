"""The sequencer: takes what waits for the log of evidence into it, and signs its new head, in one transaction.

Every step says what a crash right there leaves behind. Several sequencers may run at once: one of them has its turn.
"""

import datetime as dt
from typing import Any

from sqlalchemy import BigInteger, SmallInteger, any_, case, delete, func, insert, literal, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import BYTEA

from consent import merkle, notes
from consent.evidence import FRAME, EvidenceLog, EvidencePosition, EvidenceTile, LogBroken, read_tiles
from consent.merkle import ENTRIES
from consent.notes import Checkpoint, Signer
from dataspace import jwk, measured
from dataspace.db import connection, db, table_of
from dataspace.entries import ENTRY, KEY, WaitingEntry, first_waiting, seconds_since
from dataspace.measured import Measured
from dataspace.vault import Vault

BATCH = 4096  # entries of one transaction: others wait for its lock on SQLite, and for nothing on PostgreSQL
ROW = KEY + ENTRY  # bytes of what waits, in a row


def integrate(now: dt.datetime, *, vault: Vault, limit: int = BATCH) -> int:
    """Take up to ``limit`` waiting entries into the log; returns how many. The caller commits.

    Nothing when another sequencer is at it, or there is no log. Raises LogBroken. ``now`` is only written down:
    whichever way time goes, entries are taken once.
    """
    if first_waiting() is None:
        return 0  # without a lock: most turns of a quiet night
    # 1. The lock. It ends with the transaction: a sequencer that is killed leaves nothing to clean up.
    log = _take_turn()
    if log is None:
        return 0
    # 2. What waits leaves the queue. A crash from here to the commit puts everything back as it was.
    taken = _take_waiting(limit)
    if not taken:
        return 0
    # 3. What grows must lead to what was signed: a row that was lost, cut or brought back from earlier is noticed
    #    before anything is signed that would contradict what others have seen.
    edge = _edge(log)
    changed = merkle.grow(log.size, edge, [merkle.leaf_hash(entry) for _key, entry in taken])
    changed |= _bundles(log.size, edge.get(ENTRIES, b""), [entry for _key, entry in taken])
    # 4. Tiles and positions. Nobody asks for them before the head of step 5; without its commit they are not there.
    _store(changed, log.number)
    _place(taken, log.size, log.number)
    # 5. The signed head, only in place of the one that it continues. It is signed before the commit but seen by nobody:
    #    if the commit fails, it has never been, and the next one is another.
    _sign(log, log.size + len(taken), changed, now, vault)
    measured.note(Measured.ENTRY_TO_PROOF, now, *seconds_since((key for key, _entry in taken), now))
    return len(taken)


def tidy() -> None:
    """Let PostgreSQL use the room of what was taken again, after a busy turn; outside of any transaction.

    Its own vacuum comes once a minute. Until then every turn would read over all rows that are gone.
    """
    if db.engine.dialect.name != "postgresql":
        return
    # Not truncated: that would make those wait who append.
    vacuum = f"VACUUM (SKIP_LOCKED, TRUNCATE FALSE) {table_of(WaitingEntry).name}"
    with db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as link:
        link.execute(text(vacuum))


def _take_turn() -> Any | None:
    table = table_of(EvidenceLog)
    # Whoever finds the row locked goes away instead of waiting: the one who has it takes what waits. One log grows.
    # The statement must not begin with WITH: Python's sqlite3 opens no transaction for that, and what follows would be
    # kept though the head is never signed.
    free = select(table.c.origin).where(table.c.ended_at.is_(None)).with_for_update(skip_locked=True)
    turn = (
        update(table)
        .where(table.c.origin.in_(free))
        .values(turn=table.c.turn + 1)
        .returning(table.c.origin, table.c.number, table.c.size, table.c.root, table.c.wrapped_private)
    )
    return connection().execute(turn).one_or_none()


def _take_waiting(limit: int) -> list[tuple[bytes, bytes]]:
    """(key, entry) of those that wait, removed, in the order of their keys."""
    link, table = connection(), table_of(WaitingEntry)
    some = select(table.c.key).order_by(table.c.key).limit(limit)
    gone = delete(table).returning(table.c.key, table.c.entry)
    if link.dialect.name != "postgresql":
        found = link.execute(gone.where(table.c.key.in_(some)))
        return sorted((bytes(key), bytes(entry)) for key, entry in found)
    # What PostgreSQL knows of this table is of a moment when it was nearly empty. For such a one it would compare every
    # row with every other, be it in a join or in an array; so each key is looked for by the index, whatever it knows.
    link.execute(text("SET LOCAL enable_seqscan = off"))
    taken = gone.where(table.c.key == any_(func.array(some.scalar_subquery()))).cte("taken")
    # All in one value: a row of the answer for each would take longer than the rest.
    one = func.string_agg(taken.c.key.op("||")(taken.c.entry), literal(b"", BYTEA), type_=BYTEA)
    row = link.scalar(select(one.aggregate_order_by(taken.c.key))) or b""
    return [(row[at : at + KEY], row[at + KEY : at + ROW]) for at in range(0, len(row), ROW)]


def _edge(log: Any) -> dict[int, bytes]:
    """The partial tile of each level, once they have been found to lead to the root. Raises LogBroken."""
    places = {(tile.level, tile.number): tile for tile in merkle.edge_of(log.size)}
    tiles = read_tiles({*places, *merkle.tiles_for([(0, log.size)])}, log.number)
    try:
        found = merkle.root(log.size, lambda level, number: tiles.get((level, number), b""))
    except merkle.InvalidTile as error:
        raise LogBroken(error.detail) from error
    edge = {level: tiles.get((level, number), b"") for level, number in places}
    leaves = [merkle.leaf_hash(entry) for entry in _unbundle(edge.get(ENTRIES, b""))]
    if found != log.root or b"".join(leaves) != edge.get(0, b""):
        raise LogBroken("the tiles do not lead to the checkpoint")
    return edge


def _unbundle(bundle: bytes) -> list[bytes]:
    try:
        return merkle.unbundle(bundle)
    except merkle.InvalidTile as error:
        raise LogBroken(error.detail) from error


def _bundles(size: int, edge: bytes, added: list[bytes]) -> dict[tuple[int, int], bytes]:
    whole, first = edge + merkle.bundle(added), size // merkle.WIDTH
    step = merkle.WIDTH * FRAME
    return {(ENTRIES, first + at // step): whole[at : at + step] for at in range(0, len(whole), step)}


def _store(changed: dict[tuple[int, int], bytes], log: int) -> None:
    link = connection()
    make: Any = postgresql.insert if link.dialect.name == "postgresql" else sqlite.insert
    new = make(table_of(EvidenceTile))
    keep = new.on_conflict_do_update(index_elements=["log", "level", "number"], set_={"content": new.excluded.content})
    rows = [{"log": log, "level": at[0], "number": at[1], "content": tile} for at, tile in sorted(changed.items())]
    link.execute(keep, rows)


def _place(taken: list[tuple[bytes, bytes]], first: int, log: int) -> None:
    link, table = connection(), table_of(EvidencePosition)
    if link.dialect.name != "postgresql":
        # Past the preparing of values that need none, which takes twice as long as the rest.
        statement = f"INSERT INTO {table.name} (key, log, position) VALUES (?, ?, ?)"  # noqa: S608 - our own name
        link.exec_driver_sql(statement, [(key, log, position) for position, (key, _entry) in enumerate(taken, first)])
        return
    # One value and one statement, as when they were taken.
    keys, number = literal(b"".join(key for key, _entry in taken), BYTEA), func.generate_series(0, len(taken) - 1)
    numbers = select(number.label("number")).subquery().c.number
    placed = select(
        func.substring(keys, numbers * KEY + 1, KEY), literal(log, SmallInteger), literal(first, BigInteger) + numbers
    )
    link.execute(insert(table).from_select(["key", "log", "position"], placed))


def _sign(log: Any, size: int, changed: dict[tuple[int, int], bytes], now: dt.datetime, vault: Vault) -> None:
    wanted = merkle.tiles_for([(0, size)])
    tiles = read_tiles(wanted - changed.keys(), log.number) | changed
    root = merkle.root(size, lambda level, number: tiles.get((level, number), b""))
    private = jwk.load_private_key(vault.unwrap(log.wrapped_private, identity=log.origin))
    checkpoint = Checkpoint(origin=log.origin, size=size, root=root)
    note = notes.sign(checkpoint, Signer(name=log.origin, private=private))  # type: ignore[arg-type]
    table = table_of(EvidenceLog)
    since = case((table.c.published_size == log.size, now), else_=table.c.held_since)
    swapped = connection().execute(
        update(table)
        .where(table.c.origin == log.origin, table.c.size == log.size, table.c.root == log.root)
        .values(size=size, root=root, note=bytes(note), signed_at=now, held_since=since)
        .returning(table.c.size)
    )
    if swapped.one_or_none() is None:
        raise LogBroken("somebody else has signed meanwhile")
