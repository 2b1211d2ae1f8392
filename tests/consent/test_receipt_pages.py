"""Receipts as people meet them: after giving, in my authorizations, on paper, as files; and checking one."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import verify_receipt
from flask import Flask
from flask.testing import FlaskClient
from flask_babel import force_locale, format_date

from consent import amendments, keys, lifecycle
from consent.documents import Choices
from consent.keys import KeyUse
from consent.web import receipt_pdf
from consent.web.receipt_view import ReceiptView
from dataspace import clock, jose
from dataspace.db import db
from dataspace.mandates import Capacity
from tests import factories
from tests.consent.receipted import Scene
from tests.consent.visitor import Visitor

LANGUAGES = {"zh-CN": "凭据", "zh-HK": "憑據", "en": "Receipt"}
FILES = ("receipt.json", "receipt.jws", "receipt.pdf")


@pytest.fixture
def scene(client: FlaskClient, now: dt.datetime) -> Scene:
    return Scene.made(client, now)


# The holder


def test_c40_a_receipt_says_everything_in_plain_words(scene: Scene) -> None:
    page = scene.visitor.get(scene.path)
    for words in (
        "You agreed to this authorization.", "Lingnan Example Bank", "91440099MA9T00034R", "by yourself", "Active",
        "Review this loan application", "LN-2026-0001", "Item p.edu.degree", "Given", "For review", "Example authority",
        "Field school, Field major", "Kept for 30 days, then deleted", "Mainland China", "Also given to nobody",
        "Abroad no", "It can be stopped at any time in the list of authorizations here",
        factories.shown(scene.now).text, scene.row.digest,
    ):  # fmt: skip
        assert words in page.says, words
    for internal in (scene.world.person.holder_id, scene.world.actor.space_id, "consent:given", "loan-review"):
        assert internal not in page.html, internal


def test_c40_it_is_found_after_stopping_and_stays_downloadable(scene: Scene) -> None:
    given = scene.path
    stopped = scene.stop()
    links = [(words, href) for words, href in stopped.links if href.startswith("/receipts/")]
    assert [words.split()[0] for words, _href in links] == ["Stopped", "Agreed"]
    assert links[1][1] == given
    assert "You stopped this authorization." in scene.visitor.get(links[0][1]).says
    for path in (given, links[0][1]):
        assert [scene.visitor.send("GET", f"{path}/{name}").status_code for name in FILES] == [200, 200, 200]


def test_the_newest_is_one_address(scene: Scene) -> None:
    scene.stop()
    page = scene.visitor.get(f"/authorizations/{scene.world.consent.consent_id}/receipt")
    assert scene.visitor.path == scene.path
    assert "You stopped this authorization." in page.says
    assert scene.visitor.get("/authorizations/cns_unknown/receipt").status == 404


def test_the_files_are_what_was_signed(scene: Scene) -> None:
    files = {name: scene.visitor.send("GET", f"{scene.path}/{name}") for name in FILES}
    assert files["receipt.json"].data == scene.signed.file
    assert files["receipt.jws"].data.decode() == scene.signed.compact
    for response in files.values():
        assert response.headers["Content-Disposition"].startswith(f'attachment; filename="{scene.row.receipt_id}.')
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_paper_carries_its_letters_and_speaks_the_readers_language(scene: Scene, language: str) -> None:
    scene.visitor.language = language
    assert LANGUAGES[language] in scene.visitor.get(scene.path).says
    paper = scene.visitor.send("GET", f"{scene.path}/receipt.pdf")
    assert (paper.mimetype, paper.data[:5]) == ("application/pdf", b"%PDF-")
    assert b"/FontFile3" in paper.data
    tag = {"zh-CN": b"zh-Hans", "zh-HK": b"zh-Hant", "en": b"en"}[language]
    assert b"/Lang (" + tag + b")" in paper.data
    assert 10_000 < len(paper.data) < 200_000


def test_several_papers_at_once_all_come(scene: Scene, app: Flask) -> None:
    scene.visitor.get(scene.path)
    cookie, path = scene.visitor.client.get_cookie("session"), f"{scene.path}/receipt.pdf"
    assert cookie

    def print_it(_: int) -> int:
        client = app.test_client()
        client.set_cookie("session", cookie.value)
        with app.app_context():
            return client.get(path).status_code

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(print_it, range(3))) == [200, 200, 200]


def test_nobody_else_sees_it(scene: Scene, app: Flask) -> None:
    stranger = Visitor(app.test_client()).sign_in(
        factories.holder(scene.now, factories.OTHER_PERSON, "梁志文"), scene.now
    )
    admin = Visitor(app.test_client()).sign_in(
        factories.administrator(scene.now, factories.LEGAL_REP), scene.now, acting="administrator"
    )
    nobody = Visitor(app.test_client())
    for path in (scene.path, *(f"{scene.path}/{name}" for name in FILES)):
        assert stranger.send("GET", path).status_code == 404
        assert admin.send("GET", path).status_code in (303, 403, 404)
        assert nobody.send("GET", path).status_code in (302, 303)
    consent_id = scene.world.consent.consent_id
    assert stranger.send("GET", f"/authorizations/{consent_id}/receipt").status_code == 404


def test_who_acts_for_the_company_sees_its_receipts(client: FlaskClient, now: dt.datetime) -> None:
    world, body = factories.world(now), factories.company(now)
    agent = factories.holder(now, factories.AGENT, "周敏")
    mandate = factories.mandate(body, agent, Capacity.LEGAL_REPRESENTATIVE, now)
    power = factories.item(now, "e.energy.power", ("month", "kwh"), many=True, period_field="month")
    row = factories.purpose(now, code="company", required=[power], kinds=["legal_entity"])
    acting = factories.actor(agent, now, on_behalf_of=mandate)
    consent = factories.consent(factories.ask(row, now), acting, now)
    db.session.commit()
    visitor = Visitor(client).sign_in(agent, now, acting=mandate)
    page = visitor.get(f"/authorizations/{consent.consent_id}/receipt")
    assert (page.status, world.consent.consent_id == consent.consent_id) == (200, False)
    assert "legal representative" in page.says


# The keys


def test_the_keys_of_receipts_are_published_for_ever_and_apart(scene: Scene) -> None:
    later = scene.now + dt.timedelta(days=1)
    keys.rotate(scene.now, factories.registry().vault)
    keys.destroy_retired(later)
    db.session.commit()
    response = scene.visitor.send("GET", "/receipts/keys")
    assert (response.status_code, response.headers["Access-Control-Allow-Origin"]) == (200, "*")
    ring = keys.Keyring(factories.registry().vault)  # as another process sees them
    published = ring.public_jwk_set(scene.now + dt.timedelta(days=3650), purpose=KeyUse.RECORDS)["keys"]
    assert len(published) == 2
    assert {key["alg"] for key in published} == {"ES256"}
    assert jose.read(scene.signed.compact).header["kid"] in {key["kid"] for key in published}


def test_the_published_program_takes_what_is_downloaded(scene: Scene, tmp_path: Any) -> None:
    for name, path in (("keys.json", "/receipts/keys"), ("receipt.json", f"{scene.path}/receipt.json")):
        (tmp_path / name).write_bytes(scene.visitor.send("GET", path).data)
    assert verify_receipt.main([str(tmp_path / "receipt.json"), "--keys", str(tmp_path / "keys.json")]) == 0


def test_the_receipt_of_a_sign_in_says_what_it_tells(scene: Scene) -> None:
    consent = factories.sign_in_consent("bank", scene.world.actor, scene.now)
    db.session.commit()
    page = scene.visitor.get(f"/authorizations/{consent.consent_id}/receipt")
    assert "They learn your name" in page.says
    assert scene.visitor.send("GET", f"{scene.visitor.path}/receipt.pdf").status_code == 200


def test_why_an_item_less_ended_everything_is_told_in_words(scene: Scene) -> None:
    consent_id, by = scene.world.consent.consent_id, scene.world.actor
    amendments.withdraw_item(consent_id, "p.edu.degree", by, clock.now(), registry=factories.registry())
    db.session.commit()
    for path in (f"/authorizations/{consent_id}/receipt", f"/authorizations/{consent_id}"):
        page = scene.visitor.get(path)
        assert "An item that it cannot do without was stopped" in page.says
        assert "required_item" not in page.html


def test_a_refusal_is_told_on_its_receipt(scene: Scene) -> None:
    asked, shown = factories.ask(scene.world.purpose, scene.now), factories.shown(scene.now)
    refused = lifecycle.refuse(asked, scene.world.actor, shown, scene.now, registry=factories.registry())
    db.session.commit()
    page = scene.visitor.get(f"/authorizations/{refused.consent_id}/receipt")
    assert "You refused this request. Nothing was given." in page.says
    assert "Not given" in page.says
    assert "How to stop" not in page.says


@pytest.mark.parametrize(
    ("decision", "said"),
    [("Agree", "You agreed to this authorization."), ("Refuse", "You refused this request. Nothing was given.")],
)
def test_c40_it_is_offered_right_after_deciding(scene: Scene, decision: str, said: str) -> None:
    row = factories.purpose(scene.now, code="again", required=[scene.world.item])
    scene.visitor.get(scene.visitor.asked(factories.ask(row, scene.now), scene.now))
    scene.visitor.tap(decision)
    page = scene.visitor.follow("See the receipt")
    assert said in page.says
    assert "Lingnan Example Bank" in scene.visitor.page.says


# What a change has changed


def test_c40_the_receipt_of_a_change_says_what_has_changed(scene: Scene) -> None:
    now, by, registry = scene.now, scene.world.actor, factories.registry()
    skill = factories.item(now, "p.work.skill")
    row = factories.purpose(now, code="both", required=[scene.world.item], optional=[skill])
    given = factories.consent(factories.ask(row, now), by, now)
    scene.world = replace(scene.world, consent=given)
    amendments.withdraw_item(given.consent_id, skill.item_id, by, now, registry=registry)
    db.session.commit()
    page = scene.visitor.get(scene.path)
    assert "What has changed Item p.work.skill No longer given" in page.says
    amendments.shorten(given.consent_id, now + dt.timedelta(days=7), by, now, registry=registry)
    db.session.commit()
    page = scene.visitor.get(scene.path)
    with force_locale("en"):
        end, before = (format_date(now + dt.timedelta(days=days), "long") for days in (7, 30))
    assert f"How long Shorter. Now: {end}. Before: {before}." in page.says
    how = {"digest": scene.row.digest, "check_url": "https://space.example.org/check", "language": "en", "file": b"{}"}
    with scene.visitor.client.application.test_request_context():
        view = ReceiptView.of(scene.signed.content, "en")
        assert len(receipt_pdf.write(view, **how)) > len(receipt_pdf.write(replace(view, changes=[]), **how))
    scene.visitor.language = "zh-CN"
    assert "变更了什么" in scene.visitor.get(scene.path).says


def test_the_receipt_of_a_replacement_names_every_change_with_its_values(scene: Scene) -> None:
    now, by, registry = scene.now, scene.world.actor, factories.registry()
    fewer = replace(
        factories.ask(scene.world.purpose, now),
        max_reads=3,
        frequency={"n": 1, "unit": "week"},
        automated_decision="assisted",
        retention={"text": factories.text("保存 60 天", "Kept for 60 days"), "days": 60},
        third_parties=(
            {"name": "Archive Ltd", "role": "processor", "place": "Guangzhou", "what_for": factories.text("存档")},
        ),
        items=tuple(replace(i, fields=("school",)) for i in factories.ask(scene.world.purpose, now).items),
    )
    choices = Choices(items=(scene.world.item.item_id,), duration_days=30)
    consent_id = scene.world.consent.consent_id
    lifecycle.replace(consent_id, fewer, choices, by, factories.shown(now), now, registry=registry)
    db.session.commit()
    page = scene.visitor.get(scene.path)
    for said in (
        "Item p.edu.degree No longer given: Field major, Field level",
        "How often Less. Now: at most 3 reads in all. Before: any number of reads.",
        "How often Less. Now: at most 1 time a week. Before: as often as they like.",
        "They keep it Longer. Now: Kept for 60 days. Before: Kept for 30 days, then deleted.",
        "Also given to New: Archive Ltd",
        "Decision by computer Changed: A computer prepares the decision; a person takes it.",
    ):
        assert said in page.says, said


def test_a_receipt_without_a_change_says_nothing_of_one(scene: Scene) -> None:
    assert "What has changed" not in scene.visitor.get(scene.path).says
    assert "What has changed" not in scene.stop().says
