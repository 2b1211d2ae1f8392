"""The end of a log of evidence and the beginning of the next: when its key is known to others or lost, or it is broken.

A log is known by its name and key, so one that goes on under another key would be another log to everybody who has kept
them. It ends as logs end elsewhere: with a last checkpoint, still served, all its proofs as good as before.
"""

import datetime as dt

from sqlalchemy import update

from consent import cosignatures, evidence
from consent.evidence import EvidenceLog, Head
from dataspace.db import connection, table_of
from dataspace.vault import Vault


def change(issuer: str, now: dt.datetime, vault: Vault) -> tuple[Head, Head]:
    """End the log as it was last signed, destroy its key and make the next; returns both heads. The caller commits.

    Nothing is signed with the old key, which may be lost: what waits enters the new log. Waits for a sequencer that has
    its turn, and the next one finds the new log. Raises NotYet when there is no log.
    """
    table = table_of(EvidenceLog)
    this = update(table).where(table.c.ended_at.is_(None))
    connection().execute(this.values(turn=table.c.turn + 1))  # the lock of sequencers
    cosignatures.publish(now, hold=dt.timedelta())
    last = evidence.published()
    connection().execute(this.values(ended_at=now, wrapped_private=None))
    cosignatures.forget()
    evidence.make(last.log + 1, evidence.origin_of(issuer, last.log + 1), now, vault)
    return last, evidence.head()
