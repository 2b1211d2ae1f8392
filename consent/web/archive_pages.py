"""What people read in an archive: how to check it, the records and authorizations as a page, the reads as a table."""

from collections.abc import Iterable, Iterator
from typing import Any

from flask import current_app
from flask_babel import force_locale
from sqlalchemy import select

from consent.archive_parts import Part, pages
from consent.clients import Client
from consent.records import Consent
from consent.web import reads, words
from consent.web.context import registry
from dataspace import clock
from dataspace.accesses import Wanted
from dataspace.catalogue import DataItem, in_language
from dataspace.db import db
from dataspace.spaces import Record, open_rows
from dataspace.vault import Vault
from dataspace.web.values import one, plain


def parts(space_id: str, language: str, vault: Vault) -> Iterator[Part]:
    """README, overview.html and reads.csv, in a language."""
    with force_locale(language):
        readme: str = current_app.jinja_env.get_template("archive/README.txt").render(
            issuer=registry().issuer, made_at=clock.now()
        )
        yield Part("README.txt", [readme.encode()])
        page = current_app.jinja_env.get_template("archive/overview.html").generate(
            language=language.replace("_", "-"),
            made_at=clock.now(),
            records=_records(space_id, language, vault),
            consents=_consents(space_id, language),
        )
        yield Part("overview.html", _encoded(page))
        yield Part("reads.csv", _encoded(reads.csv_rows(space_id, language, Wanted())))


def _encoded(texts: Iterable[str]) -> Iterator[bytes]:
    return (text.encode() for text in texts)


def _records(space_id: str, language: str, vault: Vault) -> Iterator[dict[str, Any]]:
    """The current records, one at a time."""
    key = vault.records_key(space_id)
    current = select(Record.record_id, Record.item_id).where(
        Record.space_id == space_id, Record.superseded_at.is_(None)
    )
    for row in pages(current, Record.item_id):
        record = db.session.get_one(Record, row.record_id)
        item = db.session.get_one(DataItem, (record.item_id, record.item_version))
        fields = item.field_ids()
        yield {
            "label": item.label(language),
            "source": item.authority_name(language),
            "as_of": record.latest_as_of,
            "head": [item.field_label(f, language) for f in fields],
            "rows": [[one(values.get(f)) for f in fields] for values in open_rows(record, key)],
        }
        db.session.expunge(record)


def _consents(space_id: str, language: str) -> Iterator[dict[str, Any]]:
    """The authorizations, in words."""
    mine = select(
        Consent.consent_id, Consent.purpose_text, Consent.state, Consent.created_at, Consent.expires_at,
        Client.legal_name,
    ).join(Client, Client.client_id == Consent.client_id)  # fmt: skip
    for row in pages(mine.where(Consent.space_id == space_id), Consent.consent_id):
        yield {
            "party": plain(in_language(row.legal_name, language)),
            "purpose": plain(in_language(row.purpose_text, language)),
            "state": str(words.STATES[row.state]),
            "given": row.created_at,
            "until": row.expires_at,
        }
