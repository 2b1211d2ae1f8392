"""Initial access tokens at the administrator's desk and on the command line."""

import datetime as dt
import re

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from consent.interventions import OperatorEvent
from consent.oauth import initial_access
from consent.oauth.initial_access import InitialAccessToken
from dataspace.db import db
from tests import factories
from tests.consent.desk import Desk
from tests.consent.registrant import manage, public_keys, register, registered

pytestmark = pytest.mark.wire


def test_an_administrator_issues_and_revokes(client: FlaskClient, now: dt.datetime) -> None:
    desk = Desk(client.application.test_client()).sign_in(factories.administrator(now), now)
    desk.get("/admin/invitations")
    assert "Administrator ·" in desk.says
    desk.post("/admin/invitations", note="Example Ltd", profile="login", days="30")
    token = re.search(r"dsi_[\w-]+", desk.says)
    assert token
    desk.get("/admin/invitations")
    assert token[0] not in desk.page
    assert desk.rows()[0][0] == "Example Ltd"
    told = registered(client, token[0])
    desk.get("/admin/invitations")
    assert told["client_id"] in desk.rows()[0]

    desk.post("/admin/invitations", note="Another", profile="data", days="7")
    second = re.search(r"dsi_[\w-]+", desk.says)
    assert second
    digest = initial_access.digest_of(second[0])
    desk.post(f"/admin/invitations/{digest}/revoke")
    assert register(client, second[0], jwks=public_keys()).status_code == 401
    desk.post(f"/admin/invitations/{digest}/revoke", 409)
    desk.get("/admin/invitations")
    desk.post("/admin/invitations/nothing/revoke", 404)


@pytest.mark.parametrize("path", ["/admin/invitations", "/admin/keys/rotate"])
def test_what_lets_somebody_in_needs_a_recent_sign_in(client: FlaskClient, now: dt.datetime, path: str) -> None:
    long_ago = now - dt.timedelta(minutes=30)
    desk = Desk(client).sign_in(factories.administrator(now), long_ago)
    desk.get("/admin/keys")
    desk.post(path, note="x", profile="login", ground="other", text="x")
    assert db.session.scalar(select(InitialAccessToken)) is None
    assert db.session.scalar(select(OperatorEvent)) is None


def test_a_token_by_command(app: Flask, client: FlaskClient) -> None:
    run = app.test_cli_runner().invoke(args=["clients", "invite", "--profile", "login", "--note", "Example Ltd"])
    assert run.exit_code == 0, run.output
    token = re.search(r"initial_access_token: (dsi_\S+)", run.output)
    assert token
    told = registered(client, token[1])
    gone = app.test_cli_runner().invoke(
        args=["clients", "delete", told["client_id"], "--reason-code", "client_request", "--text", "Closed", "--yes"]
    )
    assert gone.exit_code == 0, gone.output
    assert manage(client, "GET", told).status_code == 401
