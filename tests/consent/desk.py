"""A browser at an administrator's desk: signed in, follows links, sends forms with the token of the last page.

And what there is to see at it.
"""

import datetime as dt
import html
import re
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent.records import Consent
from dataspace import accesses, signins
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.passkeys import VerifiedSignIn
from dataspace.permission import Permission
from tests import factories
from tests.factories import World


class Desk:
    """``page``: the last answer's text; ``path``: its address."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self.page = ""
        self.path = ""

    def sign_in(self, person: Holder, now: dt.datetime, capacity: str = "administrator") -> "Desk":
        """Be signed in, as after the passkey ceremony and the choice of the capacity."""
        verified = VerifiedSignIn(person_id=person.holder_id, passkey_id="psk_test", at=now)
        secret = signins.start(verified, now)
        visit = signins.visit(secret, now, idle=dt.timedelta(minutes=5))
        assert visit is not None
        signins.act_as(visit.actor, capacity, now)
        db.session.commit()
        with self.client.session_transaction() as session:
            session["signin"] = secret
            session["language"] = "en"
        return self

    def get(self, path: str, status: int = 200) -> TestResponse:
        return self._seen(self._send("GET", path), path, status)

    def post(self, path: str, status: int = 303, **fields: Any) -> TestResponse:
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.page)
        assert token, "no form on the last page"
        fields = {name.replace("__", "."): value for name, value in fields.items()} | {"csrf_token": token[1]}
        answer = self._seen(self._send("POST", path, data=fields), path, status)
        if status == 303:
            self.get(answer.location)
        return answer

    @property
    def says(self) -> str:
        """The words of the page, without markup."""
        text = re.sub(r"<(svg|select|textarea)\b.*?</\1>", " ", self.page, flags=re.DOTALL)
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())

    def rows(self, table: int = 0) -> list[list[str]]:
        """The cells of a table's body."""
        body = re.findall(r"<tbody>(.*?)</tbody>", self.page, flags=re.DOTALL)[table]
        rows = re.findall(r"<tr>(.*?)</tr>", body, flags=re.DOTALL)
        cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, flags=re.DOTALL) for row in rows]
        return [[" ".join(html.unescape(re.sub(r"<[^>]+>", " ", c)).split()) for c in row] for row in cells]

    def _send(self, method: str, path: str, **more: Any) -> TestResponse:
        # A context of its own, so that the request has a database session of its own, as in production.
        with self.client.application.app_context():
            answer = self.client.open(path, method=method, headers={"Accept": "text/html"}, **more)
        db.session.expire_all()
        return answer

    def _seen(self, answer: TestResponse, path: str, status: int) -> TestResponse:
        assert answer.status_code == status, f"{path}: {answer.status_code} {answer.get_data(as_text=True)[:3000]}"
        self.page, self.path = answer.get_data(as_text=True) if answer.mimetype.startswith("text/") else "", path
        return answer


def consents(world: World, now: dt.datetime, count: int, **changes: Any) -> list[Consent]:
    """More consents of the same person, the newest last."""
    made = []
    for n in range(count):
        at = now + dt.timedelta(milliseconds=n + 1)
        asked = factories.ask(world.purpose, at, **({"reference_no": f"R-{n:03}"} | changes))
        made.append(factories.consent(asked, world.actor, at))
    db.session.commit()
    return made


def read(world: World, now: dt.datetime, *, refused: str = "", consent: Consent | None = None) -> None:
    of = consent or world.consent
    permission = Permission(
        client_id="bank", recipient="岭南示例银行", consent_id=of.consent_id, consent_version=1, space_id=of.space_id,
        purpose="审核本次贷款申请", reference_no=None, items=(), max_reads=None, auth_time=now,
        acr="urn:dataspace:acr:passkey",
    )  # fmt: skip
    if refused:
        accesses.record_refused(permission, ["p.edu.degree"], refused, now)
    else:
        accesses.record_answered(permission, ["p.edu.degree"], now)
    db.session.commit()
