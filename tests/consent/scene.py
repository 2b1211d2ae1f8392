"""A person with records in front of the consent page of a bank that asks."""

import datetime as dt
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from consent.asks import Ask
from consent.purposes import Purpose
from consent.records import Consent
from dataspace.db import db
from dataspace.holders import Holder
from tests import factories
from tests.consent.visitor import Page, Visitor

BANK = "Lingnan Example Bank"
PLAIN, EXTRA, LAB, SCAN = "p.edu.degree", "p.work.qualification", "p.health.lab", "p.health.scan"
CROSS_BORDER = {
    "recipient": "Macau Example Bank",
    "country_region": "Macau",
    "mechanism": "Standard contract",
    "filing_no": "GBA-0001",
    "valid_until": "2027-12-31",
    "rights_channel": "rights@bank.example",
}


@dataclass
class Scene:
    """A person with records and a bank that asks. Items: PLAIN required, EXTRA optional; more by ``asks``."""

    app: Flask
    now: dt.datetime
    person: Holder
    items: dict[str, Any]
    purpose: Purpose
    party: factories.Party
    visitor: Visitor = field(repr=False)

    def asks(self, required: list[str], optional: list[str] | None = None, **changes: Any) -> Ask:
        row = factories.purpose(
            self.now,
            code=f"purpose-{db.session.scalar(select(func.count()).select_from(Purpose))}",
            required=[self.items[i] for i in required],
            optional=[self.items[i] for i in optional or []],
            **changes,
        )
        return factories.ask(row, self.now)

    def shows(self, ask: Ask | None = None, **parameters: Any) -> Page:
        path = self.visitor.asked(ask or factories.ask(self.purpose, self.now), self.now, **parameters)
        return self.visitor.get(path)

    def consents(self) -> list[Consent]:
        db.session.rollback()
        return list(db.session.scalars(select(Consent).order_by(Consent.created_at)))

    def returned(self) -> dict[str, str]:
        """What the third party gets: the query of the address on the page that returns there."""
        url = self.visitor.page.link(f"Return to {BANK}")
        assert url.startswith(factories.REDIRECT_URI)
        return {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()}


def make_scene(app: Flask, client: FlaskClient, now: dt.datetime) -> Scene:
    person = factories.holder(now)
    items = {
        PLAIN: factories.item(now, PLAIN),
        EXTRA: factories.item(now, EXTRA, ("title", "since")),
        LAB: factories.item(now, LAB, ("month", "value"), sensitive=True, many=True, period_field="month"),
        SCAN: factories.item(now, SCAN, ("image",), sensitive=True),
    }
    factories.record(person, items[PLAIN], [{"school": "示例大学", "major": "会计", "level": None}], now)
    factories.record(person, items[LAB], [{"month": "2026-08", "value": 5}, {"month": "2026-09", "value": 7}], now)
    bank = factories.party(now)
    bank.client.accreditation = {"number": "GDDS-2026-0001", "level": "3"}
    row = factories.purpose(now, required=[items[PLAIN]], optional=[items[EXTRA]])
    db.session.commit()
    return Scene(app, now, person, items, row, bank, Visitor(client).sign_in(person, now))
