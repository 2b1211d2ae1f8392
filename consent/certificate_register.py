"""The register of certificates (归集): search and pages, newest first, with what each is worth now.

Of one space for its holder; of all spaces for administrators, with the life of each and its entries in the log.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select

from consent import certificate_standing, data_certificates, evidence, supervision
from consent.certificate_standing import Standing
from consent.clients import Client
from consent.data_certificates import FREEZERS, LIVING, CertificateStep, DataCertificate, Stage
from consent.records import Consent
from consent.supervision import MAX_ROWS, Page
from dataspace import catalogue
from dataspace.db import db
from dataspace.errors import NotFound
from dataspace.holders import Holder
from dataspace.spaces import Record

PAGE = 20
FROZEN = "frozen"  # beside the stages, in a search


@dataclass(frozen=True, kw_only=True)
class Line:
    """One certificate; holder, third party and purpose of its consent; and what it is worth."""

    certificate: DataCertificate
    holder_id: str
    client: Client
    purpose: dict[str, str]
    standing: Standing


@dataclass(frozen=True, kw_only=True)
class Found:
    """One page; ``total`` of the search, ``all``: how many the space has."""

    lines: list[Line]
    total: int
    all: int


def find(space_id: str, now: dt.datetime, *, words: str = "", page: int = 1) -> Found:
    """By words of the item, the third party or the number. A fixed number of queries."""
    mine = [DataCertificate.space_id == space_id]
    every = _count(mine)
    if words:
        mine.append(_about(space_id, words.casefold()))
    rows = db.session.execute(_newest_first(_lines().where(*mine)).offset((page - 1) * PAGE).limit(PAGE)).all()
    return Found(lines=[_line(row, now) for row in rows], total=_count(mine) if words else every, all=every)


def of_consent(consent_id: str, now: dt.datetime) -> list[Line]:
    """The newest of one consent."""
    mine = _newest_first(_lines().where(DataCertificate.consent_id == consent_id)).limit(PAGE)
    return [_line(row, now) for row in db.session.execute(mine)]


# For administrators


@dataclass(frozen=True, kw_only=True)
class Search:
    """Which certificates: a number (its own, of its consent or its record), a client, a state, a holder, from until.

    Empty means any. ``state``: a stage, or FROZEN; ``client`` as :func:`supervision.named`; ``since`` is inclusive,
    ``until`` exclusive; both are about when it was made.
    """

    number: str = ""
    client: str = ""
    state: str = ""
    holder_id: str = ""
    since: dt.datetime | None = None
    until: dt.datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Life:
    """Steps of a certificate, newest first, each with its place in the log of evidence, or None while it has none.

    ``older``: the number of the step before which the next page begins, or None.
    """

    steps: list[tuple[CertificateStep, int | None]]
    older: int | None


def search(wanted: Search, number: int, now: dt.datetime) -> Page:
    """One page of the certificates of all spaces, as :class:`Line`. Two statements."""
    ids = select(DataCertificate.certificate_id).where(*_wanted(wanted, now))
    total = db.session.scalar(select(func.count()).select_from(ids.limit(MAX_ROWS + 1).subquery())) or 0
    number = max(1, min(number, -(-min(total, MAX_ROWS) // supervision.PAGE)))
    # The ids are found on the certificates alone, as supervision.find does.
    some = _newest_first(ids).limit(supervision.PAGE).offset((number - 1) * supervision.PAGE)
    rows = db.session.execute(_newest_first(_lines().where(DataCertificate.certificate_id.in_(some))))
    return Page([_line(row, now) for row in rows], number, min(total, MAX_ROWS), total > MAX_ROWS)


def line(unverified_id: str, now: dt.datetime) -> Line:
    """One certificate. Raises NotFound."""
    row = db.session.execute(_lines().where(DataCertificate.certificate_id == unverified_id)).one_or_none()
    if row is None:
        raise NotFound("no such certificate")
    return _line(row, now)


def life(certificate: DataCertificate, before: int | None = None) -> Life:
    """A page of its life. Two statements."""
    query = select(CertificateStep).filter_by(certificate_id=certificate.certificate_id)
    if before is not None:
        query = query.where(CertificateStep.seq < min(before, 2**31 - 1))  # more than any column of numbers holds
    steps = list(db.session.scalars(query.order_by(CertificateStep.seq.desc()).limit(PAGE + 1)))
    found = [(step, data_certificates.entry_of(step, certificate)) for step in steps[:PAGE]]
    places = evidence.positions([entry for _step, entry in found if entry is not None])
    return Life(
        steps=[(step, places.get(entry.key) if entry is not None else None) for step, entry in found],
        older=steps[PAGE - 1].seq if len(steps) > PAGE else None,
    )


def _wanted(search: Search, now: dt.datetime) -> list[Any]:
    conditions = supervision.between(DataCertificate.issued_at, search.since, search.until)
    if search.number.startswith("rec_"):
        space = select(Record.space_id).where(Record.record_id == search.number).scalar_subquery()
        conditions += [DataCertificate.space_id == space, DataCertificate.record_id == search.number]
    elif search.number:
        own, consent = DataCertificate.certificate_id, DataCertificate.consent_id
        conditions.append(or_(own == search.number, consent == search.number))
    if search.client:
        named = select(Client.client_id).where(supervision.named(search.client))
        conditions.append(DataCertificate.client_id.in_(named))
    if search.holder_id:
        space = select(Holder.space_id).where(Holder.holder_id == search.holder_id).scalar_subquery()
        conditions.append(DataCertificate.space_id == space)
    return [*conditions, *_in_state(search.state, now)]


def _in_state(state: str, now: dt.datetime) -> list[Any]:
    """Time ends a certificate before a worker has written it down."""
    stage, in_time = DataCertificate.stage, DataCertificate.expires_at > now
    if state == FROZEN:
        frozen = (getattr(DataCertificate, column).is_not(None) for column in FREEZERS.values())
        return [stage.in_(LIVING), in_time, or_(*frozen)]
    if state == Stage.EXPIRED:
        return [or_(stage == state, stage.in_(LIVING) & ~in_time)]
    if state in LIVING:
        return [stage == state, in_time]
    return [stage == state] if state else []


def _lines() -> Any:
    return certificate_standing.standing_query(DataCertificate, Client, Consent.purpose_text, Consent.holder_id)


def _newest_first(query: Any) -> Any:
    return query.order_by(DataCertificate.issued_at.desc(), DataCertificate.certificate_id)


def _line(row: Any, now: dt.datetime) -> Line:
    return Line(
        certificate=row.DataCertificate,
        holder_id=row.holder_id,
        client=row.Client,
        purpose=row.purpose_text,
        standing=certificate_standing.standing_of(row, now),
    )


def _count(mine: list[Any]) -> int:
    return db.session.scalar(select(func.count()).select_from(DataCertificate).where(*mine)) or 0


def _about(space_id: str, words: str) -> Any:
    """Texts are in three languages: the few items and third parties of the space are looked through here."""
    pairs = select(DataCertificate.item_id, DataCertificate.client_id).where(DataCertificate.space_id == space_id)
    known = db.session.execute(pairs.distinct()).all()
    items = catalogue.current({item_id for item_id, _client in known}).values()
    clients = db.session.scalars(select(Client).where(Client.client_id.in_({c for _item, c in known})))
    item_ids = [i.item_id for i in items if any(words in text.casefold() for text in i.labels.values())]
    client_ids = [c.client_id for c in clients if any(words in text.casefold() for text in c.legal_name.values())]
    return or_(
        DataCertificate.item_id.in_(item_ids),
        DataCertificate.client_id.in_(client_ids),
        DataCertificate.certificate_id == words,
    )
