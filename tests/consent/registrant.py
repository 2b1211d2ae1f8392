"""A client that registers itself (RFC 7591) and looks after what is registered (RFC 7592), through HTTP."""

import datetime as dt
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent.clients import Profile
from consent.oauth import initial_access
from dataspace import jwk
from dataspace.db import db
from tests.conftest import ISSUER

PATH = "/oauth/register"
URI = "https://rp.example/back"
GONE: Any = object()
NAMES = {"client_name": "Example", "client_name#zh-Hans": "示例", "client_name#zh-Hant": "範例"}


def invitation(now: dt.datetime, profile: Profile = Profile.LOGIN) -> str:
    token = initial_access.issue(profile, now, actor_id="command", note="Example Ltd")
    db.session.commit()
    return token


def bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


def public_keys(**more: Any) -> dict[str, Any]:
    return {"keys": [jwk.public_jwk(jwk.generate_key("ES256"), kid="k1", alg="ES256") | more]}


def register(client: FlaskClient, token: str | None, **members: Any) -> TestResponse:
    document = {"redirect_uris": [URI]} | {name.replace("__", "#"): value for name, value in members.items()}
    document = {name: value for name, value in document.items() if value is not GONE}
    return client.post(PATH, json=document, headers=bearer(token))


def registered(client: FlaskClient, token: str | None, **members: Any) -> dict[str, Any]:
    answer = register(client, token, **members)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json
    return found


def manage(client: FlaskClient, method: str, told: dict[str, Any], **more: Any) -> TestResponse:
    path = told["registration_client_uri"].removeprefix(ISSUER)
    return client.open(path, method=method, headers=bearer(told["registration_access_token"]), **more)


def metadata_of(told: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """What a client sends back to change something: all of its metadata and its id."""
    said = ("client_secret", "client_secret_expires_at", "client_id_issued_at")
    said += ("registration_access_token", "registration_client_uri")
    kept = {name: value for name, value in told.items() if name not in said}
    return {name: value for name, value in (kept | changes).items() if value is not GONE}
