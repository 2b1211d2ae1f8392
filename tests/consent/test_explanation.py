"""The page on who decides: true to the gate, complete, for anybody; and linked from where a read was refused."""

import datetime as dt
import re
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from consent.clients import Standing
from consent.records import Reason, State, why_inactive
from consent.web import explanation, words
from consent.web.explanation import GATE
from dataspace import accesses
from dataspace.db import db
from dataspace.permission import GrantedItem, Permission
from dataspace.web import guard
from tests import factories
from tests.consent.visitor import Visitor

NAMED = [reason for step in GATE for reason in step.reasons]
HOUR = dt.timedelta(hours=1)


def test_every_reason_for_which_a_read_is_refused_is_explained_once() -> None:
    # Two are part of the conversation between programs and are written into no log.
    assert Counter(NAMED) == Counter({*Reason, *guard.SENTENCES} - {guard.USE_NONCE, "missing_token"})


def test_every_reason_has_a_sentence_of_its_own(app: Flask) -> None:
    with app.test_request_context():
        said = [words.why(reason) for reason in NAMED]
        assert words.why("anything else") not in said
        assert [sentence for sentence, times in Counter(said).items() if times > 1] == []


def facts(now: dt.datetime, *reasons: Reason) -> Any:
    """A consent that allows nothing for all of these reasons at once."""
    changes: dict[Reason, dict[str, Any]] = {
        Reason.WITHDRAWN: {"state": State.WITHDRAWN},
        Reason.NOT_YET_VALID: {"not_before": now + HOUR},
        Reason.EXPIRED: {"expires_at": now - HOUR},
        Reason.QUOTA_EXHAUSTED: {"max_reads": 1, "reads": 1},
        Reason.TERMINATED: {"client_standing": Standing.DELETED},
        Reason.CLIENT_SUSPENDED: {"client_standing": Standing.SUSPENDED},
        Reason.SPACE_CLOSED: {"space_closed_at": now - HOUR},
        Reason.MANDATE_ENDED: {"mandate_ended_at": now - HOUR},
    }
    fine = {
        "state": State.ACTIVE, "state_since": now - HOUR, "not_before": now - HOUR, "expires_at": now + HOUR,
        "max_reads": None, "reads": 0, "client_standing": Standing.GOOD, "client_standing_since": now - HOUR,
        "space_closed_at": None, "mandate_id": None, "mandate_valid_until": None, "mandate_ended_at": None,
    }  # fmt: skip
    for reason in reasons:
        fine |= changes[reason]
    return SimpleNamespace(**fine)


ORDER = (
    Reason.WITHDRAWN, Reason.NOT_YET_VALID, Reason.EXPIRED, Reason.QUOTA_EXHAUSTED, Reason.CLIENT_SUSPENDED,
    Reason.SPACE_CLOSED, Reason.MANDATE_ENDED,
)  # fmt: skip


@pytest.mark.parametrize(("first", "second"), [(a, b) for n, a in enumerate(ORDER) for b in ORDER[n + 1 :]])
def test_the_page_keeps_the_order_of_the_gate(first: Reason, second: Reason, now: dt.datetime) -> None:
    found = why_inactive(facts(now, first, second), now)
    assert found is not None
    assert found.reason == first
    assert NAMED.index(first) < NAMED.index(second)


LANGUAGES = {
    "zh_Hans": "谁能读什么，由谁决定", "zh_Hant": "誰能讀甚麼，由誰決定", "en": "Who may read what, and who decides",
}  # fmt: skip


@pytest.mark.parametrize(("language", "title"), LANGUAGES.items())
def test_anybody_may_read_it_in_three_languages(client: FlaskClient, language: str, title: str) -> None:
    visitor = Visitor(client, language=language.replace("_", "-"))
    assert ("/explanation") in [href for _words, href in visitor.get("/").links]
    page = visitor.get("/explanation")
    assert page.status == 200
    assert f"<h1>{title}</h1>" in page.html
    for reason in NAMED:
        assert page.html.count(f'id="{explanation.anchor(reason)}"') == 1, reason
        assert reason not in page.says  # check C-46


@pytest.mark.parametrize("reason", [*NAMED, "a_reason_of_long_ago"])
def test_a_refused_line_leads_to_the_sentence_of_its_reason(client: FlaskClient, now: dt.datetime, reason: str) -> None:
    world = factories.world(now)
    given = world.consent
    permission = Permission(
        client_id="bank", recipient="岭南示例银行", consent_id=given.consent_id, consent_version=1,
        space_id=given.space_id, purpose="审核本次贷款申请", reference_no=None, max_reads=None,
        items=(GrantedItem(item_id=world.item.item_id, item_version=1, fields=("school",)),),
        auth_time=now, acr="urn:dataspace:acr:passkey",
    )  # fmt: skip
    accesses.record_refused(permission, [world.item.item_id], reason, now)
    accesses.record_answered(permission, [world.item.item_id], now)
    db.session.commit()
    page = Visitor(client).sign_in(world.person, now).get("/reads")
    leads = [href for text, href in page.links if text == "Why it was refused"]
    assert len(leads) == 1  # the answered line has none
    path, _hash, anchor = leads[0].partition("#")
    explained = client.get(path).get_data(as_text=True)
    assert re.search(f'id="{anchor}"', explained)
    assert (anchor == "gate") == (reason not in NAMED)
