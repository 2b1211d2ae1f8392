"""The register of a space's certificates (归集): search and pages, newest first, with what each is worth now."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select

from consent import certificate_standing
from consent.certificate_standing import Standing
from consent.clients import Client
from consent.data_certificates import DataCertificate
from consent.records import Consent
from dataspace import catalogue
from dataspace.db import db

PAGE = 20


@dataclass(frozen=True, kw_only=True)
class Line:
    """One certificate, the third party and purpose of its consent, and what it is worth."""

    certificate: DataCertificate
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
    query = certificate_standing.standing_query(DataCertificate, Client, Consent.purpose_text).where(*mine)
    newest = query.order_by(DataCertificate.issued_at.desc(), DataCertificate.certificate_id)
    rows = db.session.execute(newest.offset((page - 1) * PAGE).limit(PAGE)).all()
    return Found(lines=[_line(row, now) for row in rows], total=_count(mine) if words else every, all=every)


def of_consent(consent_id: str, now: dt.datetime) -> list[Line]:
    """The newest of one consent."""
    query = certificate_standing.standing_query(DataCertificate, Client, Consent.purpose_text).where(
        DataCertificate.consent_id == consent_id
    )
    newest = query.order_by(DataCertificate.issued_at.desc(), DataCertificate.certificate_id).limit(PAGE)
    return [_line(row, now) for row in db.session.execute(newest)]


def _line(row: Any, now: dt.datetime) -> Line:
    standing = certificate_standing.standing_of(row, now)
    return Line(certificate=row.DataCertificate, client=row.Client, purpose=row.purpose_text, standing=standing)


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
