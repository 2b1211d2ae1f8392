"""A running service, the clients that are registered with it, and the person who answers their requests."""

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives import serialization

from consent import clients
from consent.clients import Profile
from consent.installation import EVERYTHING
from consent.interventions import COMMAND
from consent.oauth import initial_access
from dataspace import clock
from dataspace.db import db
from dataspace.settings import Settings
from examples.actors import Person
from examples.bank import keys
from tests import factories
from tests.clients.callback import Arrival, Callback
from tools.demonstration import BANK_CLIENT_ID, Demonstration
from wsgi import create_app

MAX_PAGES = 6


@dataclass
class Deployment:
    """The service under test. ``callback`` listens where the demonstration's bank would; ``person`` has a passkey."""

    demo: Demonstration
    callback: Callback
    person: Person

    @property
    def issuer(self) -> str:
        return self.demo.issuer

    @property
    def redirect_uri(self) -> str:
        return f"{self.callback.origin}/callback"

    # Clients, as a library is configured for them

    def bank(self, **options: Any) -> dict[str, Any]:
        """The demonstration's bank: a data client whose purposes are registered; ``options``: its ClientOptions."""
        with self.in_the_service():
            clients.get(BANK_CLIENT_ID).options = options
            db.session.commit()
        signing, _proof = keys.load(self.demo.bank_keys)
        key = {"kid": signing.kid, "pem": signing.as_pem(private=True).decode()}
        return self._configuration(client_id=BANK_CLIENT_ID, key=key)

    def sign_in_client(
        self, client_id: str, *, method: str = "client_secret_basic", redirect_uri: str = "", **columns: Any
    ) -> dict[str, Any]:
        """Register a client that signs people in; ``columns`` replace those of its row."""
        redirect_uri = redirect_uri or self.redirect_uri
        with self.in_the_service() as now:
            party = factories.party(
                now, client_id, profile=Profile.LOGIN, method=method, redirect_uris=[redirect_uri], name="示例应用"
            )
            for name, value in columns.items():
                setattr(party.client, name, value)
            clients.check(party.client, here=EVERYTHING)
            db.session.commit()
        pem = party.key.private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return self._configuration(
            client_id=client_id, redirect_uri=redirect_uri, method=method, secret=party.secret,
            key={"kid": party.key.kid, "pem": pem.decode()},
        )  # fmt: skip

    def invitation(self) -> dict[str, Any]:
        """For a client that signs people in and registers itself: its initial access token."""
        with self.in_the_service() as now:
            token = initial_access.issue(Profile.LOGIN, now, actor_id=COMMAND)
            db.session.commit()
        return self._configuration(initial_access_token=token)

    @contextmanager
    def in_the_service(self) -> Iterator[dt.datetime]:
        """The service's own database, as the registrar's commands see it."""
        app = create_app(Settings.from_environment(self.demo.environment))
        with app.app_context():
            yield clock.now()
            db.session.remove()
            db.engine.dispose()

    def _configuration(self, **values: Any) -> dict[str, Any]:
        return {"issuer": self.issuer, "redirect_uri": self.redirect_uri} | values

    # The person

    def visit(self, url: str, person: Person) -> Arrival:
        """Open a client's authorization URL and agree to everything; what the client gets."""
        before = len(self.callback.arrived)
        person.browser.open(url)
        for _ in range(MAX_PAGES):
            if len(self.callback.arrived) > before:
                return self.callback.arrived[-1]
            answer_page(person)
        raise AssertionError(f"stuck at {person.page.path} ({person.page.status}): {person.page.main[:400]}")


def answer_page(person: Person) -> None:
    """What a person does with the page that is open: passkey, consent, sign-out, or the form that a script sends."""
    forms = {form.action: form for form in person.page.forms}
    foreign = next((form for action, form in forms.items() if action.startswith("http://localhost:")), None)
    if person.page.ceremony:
        person.browser.passkey()
    elif foreign is not None:
        person.browser.submit(foreign)
    elif "/oauth/logout/confirm" in forms:
        person.browser.submit(forms["/oauth/logout/confirm"], ("decision", "sign_out"))
    else:
        person.decide()
