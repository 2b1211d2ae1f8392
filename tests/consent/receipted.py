"""A person with a receipt in her hands."""

import datetime as dt
from dataclasses import dataclass, field

from flask.testing import FlaskClient

from consent import receipts
from consent.receipts import Receipt, Signed
from tests import factories
from tests.consent.visitor import Page, Visitor
from tests.factories import World


@dataclass
class Scene:
    """The smallest world, its person's browser, and the receipt of what was given."""

    world: World
    now: dt.datetime
    visitor: Visitor = field(repr=False)

    @classmethod
    def made(cls, client: FlaskClient, now: dt.datetime) -> "Scene":
        world = factories.world(now)
        return cls(world, now, Visitor(client).sign_in(world.person, now))

    @property
    def row(self) -> Receipt:
        found = receipts.latest(self.world.consent.consent_id)
        assert found is not None
        return found

    @property
    def signed(self) -> Signed:
        return receipts.signed(self.row, vault=factories.registry().vault)

    @property
    def path(self) -> str:
        return f"/receipts/{self.row.receipt_id}"

    def stop(self) -> Page:
        self.visitor.get(f"/authorizations/{self.world.consent.consent_id}")
        return self.visitor.tap("Stop the authorization")
