"""Requests whose answer the client fetches, as tests of device codes and CIBA look at them."""

import datetime as dt

from sqlalchemy import select
from werkzeug.test import TestResponse

from consent.oauth.par import AuthorizationRequest
from consent.records import Consent
from dataspace.db import db


def error_of(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.json["error"]


def later(by: dt.timedelta) -> None:
    """Let time pass for every request there is."""
    for row in db.session.scalars(select(AuthorizationRequest).order_by(AuthorizationRequest.handle)):
        row.created_at -= by
        row.expires_at -= by
        row.polled_at = row.polled_at and row.polled_at - by
    db.session.commit()


def newest() -> Consent:
    found = db.session.scalar(select(Consent).order_by(Consent.created_at.desc()).limit(1))
    assert found is not None
    return found
