"""Which live consents a rule set would refuse if they were asked for today: looked up before it takes effect.

Consents that were given stay as they are: a rule set judges requests, not history. But whoever changes the rules sees
what they would have refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import func, select

from consent import rules
from consent.clients import Client
from consent.records import CURRENT_VERSION, OPEN, Consent, ConsentVersion
from consent.rules import Case, Rules, Wanted
from dataspace.catalogue import months_between
from dataspace.db import db

BATCH = 500


@dataclass(frozen=True)
class Refused:
    """One live consent that would be refused today: by which rule (empty: by its template), and why."""

    consent_id: str
    rule_id: str
    what: str


def count_live() -> int:
    """How many consents there are to look at."""
    return db.session.scalar(select(func.count()).where(*_LIVE)) or 0


def refused(under: Rules, *, limit: int | None = None) -> Iterator[list[Refused]]:
    """The consents that would be refused, batch by batch (a batch may be empty); one statement for each batch.

    ``limit``: look at the newest so many only.
    """
    classes = {
        row.client_id: row.client_class for row in db.session.execute(select(Client.client_id, Client.client_class))
    }
    last: str | None = None
    if limit is not None:
        newest = _documents().order_by(Consent.created_at.desc()).limit(limit)
        yield _judge(under, list(db.session.execute(newest)), classes)
        return
    while True:
        batch = _documents().order_by(Consent.consent_id).limit(BATCH)
        rows = list(db.session.execute(batch if last is None else batch.where(Consent.consent_id > last)))
        if not rows:
            return
        yield _judge(under, rows, classes)
        last = rows[-1].consent_id


_LIVE = (Consent.state.in_(OPEN), Consent.kind == "data")


def _documents() -> Any:
    return select(Consent.consent_id, ConsentVersion.document).join(ConsentVersion, CURRENT_VERSION).where(*_LIVE)


def _judge(under: Rules, rows: list[Any], classes: dict[str, str]) -> list[Refused]:
    found = []
    for consent_id, document in rows:
        first = next(rules.objections(under, _wanted(orjson.loads(document), classes)), None)
        if first is not None:
            found.append(Refused(consent_id, first.rule_id, first.what))
    return found


def _wanted(document: dict[str, Any], classes: dict[str, str]) -> Wanted:
    """A consent as it was given: only the chosen items, the given duration."""
    client_id = document["recipient"]["client_id"]
    return Wanted(
        case=Case(
            client_id=client_id,
            client_class=classes.get(client_id, ""),
            purpose_code=document["purpose"]["purpose_code"],
            template=document["purpose"]["scenario"],
            mode=document["use"]["mode"],
        ),
        items=tuple(
            (i["item_id"], tuple(i["fields"]), months_between(i["range"]["from"], i["range"]["to"]))
            for i in document["items"]
            if i["chosen"]
        ),
        duration_days=document["request"]["given_days"],
        frequency=document["use"]["frequency"],
        retention_days=document["retention"].get("days"),
    )
