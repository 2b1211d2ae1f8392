"""A person who makes certificates over what a bank may read, and shows them: by the pages."""

import re
from typing import Any

import sqlalchemy as sa
from flask import Flask

from consent.data_certificates import DataCertificate
from dataspace import clock
from dataspace.db import db
from tests import factories
from tests.consent.certificate_bank import Bank, make_bank
from tests.consent.visitor import Visitor


class Holder(Visitor):
    """A person who makes certificates and shows them."""

    bank: Bank

    @property
    def consent_id(self) -> str:
        return self.bank.consent.consent_id

    def makes(self, item: str = "p.edu.degree") -> DataCertificate:
        self.get(f"/authorizations/{self.consent_id}")
        self.follow("Make a certificate")
        self.tap(f"Item {item} · Example authority")
        return self.newest

    @property
    def newest(self) -> DataCertificate:
        db.session.rollback()
        query = sa.select(DataCertificate).order_by(DataCertificate.issued_at.desc())
        found = db.session.scalars(query).first()
        assert found is not None
        return found

    def links(self, *fields: str, **changes: Any) -> str:
        """The path that the receiver gets."""
        form = {"receiver": "示例律师事务所", "show": list(fields) or ["data.school"], "life": "1h"} | changes
        page = self.tap("Make the link", **form)
        found = re.search(r"http://localhost:8000(/presented/[\w-]+)", page.says)
        assert found is not None, page.says
        return found[1]


def make_holder(app: Flask) -> Holder:
    """Signed in; ``bank`` has her consent."""
    bank = make_bank(app.test_client())
    person = db.session.get_one(factories.Holder, bank.holder.holder_id)
    found = Holder(app.test_client()).sign_in(person, clock.now())
    assert isinstance(found, Holder)
    found.bank = bank
    return found
