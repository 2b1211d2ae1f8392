"""A sign-in that begins here: the link on the page of an authorization (OpenID Connect Core section 4)."""

import datetime as dt
from urllib.parse import urlencode

import pytest
from flask import Flask

from consent import clients
from dataspace.db import db
from tests import factories
from tests.conftest import ISSUER
from tests.consent.shop import open_shop
from tests.consent.visitor import Visitor

WITH_US = urlencode({"iss": ISSUER})


@pytest.mark.parametrize(
    ("address", "suspended", "link"),
    [
        ("https://bank.example/enter", False, f"https://bank.example/enter?{WITH_US}"),
        ("https://bank.example/enter?from=x", False, f"https://bank.example/enter?from=x&{WITH_US}"),
        ("", False, None),
        ("https://bank.example/enter", True, None),
        ("javascript:alert(1)", False, None),
    ],
    ids=["registered", "with a query", "not registered", "suspended", "not an address"],
)
def test_the_link_to_a_service(address: str, suspended: bool, link: str | None, app: Flask, now: dt.datetime) -> None:
    person = factories.holder(now)
    open_shop(app, initiate_login_uri=address)
    consent = factories.sign_in_consent("shop", factories.actor(person, now), now)
    if suspended:
        clients.suspend("shop", now, actor_id="x", reason_code="inquiry", text="x")
    db.session.commit()
    page = Visitor(app.test_client()).sign_in(person, now).get(f"/authorizations/{consent.consent_id}")
    assert page.status == 200
    assert [href for words, href in page.links if words == "Open Lingnan Example Bank"] == ([link] if link else [])
