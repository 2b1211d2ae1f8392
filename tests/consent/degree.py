"""A bank that asks for one degree of one person."""

import json
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select

from dataspace import clock
from dataspace.db import db
from tests import factories
from tests.consent.third_party import ThirdParty, tokens_for


def degree_bank(client: FlaskClient) -> ThirdParty:
    """Its purpose needs the degree, and the space of a person holds one; nothing is given yet."""
    now = clock.now()
    person, degree = factories.holder(now), factories.item(now)
    factories.record(person, degree, [{"school": "示例大学", "major": "会计", "level": None}], now)
    found = ThirdParty(factories.party(now), client)
    factories.purpose(now, required=[degree])
    db.session.commit()
    return found


def granted(bank: ThirdParty, **detail: Any) -> str:
    """An access token of a consent that the person has just given; ``detail``: what else is asked."""
    person = db.session.scalars(select(factories.Holder)).one()
    details = [{"type": "data_space_access", "purpose": "loan-review", **detail}]
    by = factories.actor(person, clock.now())
    return str(tokens_for(bank, by, authorization_details=json.dumps(details))["access_token"])
