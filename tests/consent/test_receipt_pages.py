"""Receipts as people meet them: after giving, in my authorizations, on paper, as files; and checking one."""

import datetime as dt
import io
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_babel import force_locale, format_date
from hypothesis import given, settings
from hypothesis import strategies as st

from consent import amendments, keys, lifecycle, receipt_check, receipts
from consent.documents import Choices
from consent.keys import KeyUse
from consent.receipt_check import Verdict
from consent.receipts import Receipt, Signed
from consent.web import receipt_pdf
from consent.web.receipt_view import ReceiptView
from dataspace import clock, jose
from dataspace.db import db
from dataspace.mandates import Capacity
from tests import factories
from tests.consent.visitor import Page, Visitor
from tests.factories import World
from verifier import verify_receipt

LANGUAGES = {"zh-CN": "凭据", "zh-HK": "憑據", "en": "Receipt"}
FILES = ("receipt.json", "receipt.jws", "receipt.pdf")


@dataclass
class Scene:
    """The smallest world, its person's browser, and the receipt of what was given."""

    world: World
    now: dt.datetime
    visitor: Visitor = field(repr=False)

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


@pytest.fixture
def scene(client: FlaskClient, now: dt.datetime) -> Scene:
    world = factories.world(now)
    return Scene(world, now, Visitor(client).sign_in(world.person, now))


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


# Checking


def brought(visitor: Visitor, raw: bytes) -> Page:
    """A file is chosen and sent."""
    visitor.get("/receipts/check")
    return visitor.tap("Check it", file=(io.BytesIO(raw), "receipt.json"))


def with_changed(signed: Signed, *path: str | int, value: Any) -> bytes:
    """The readable file with one value changed, in its canonical form."""
    whole = json.loads(signed.file)
    place = whole["receipt"]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return jose.canonical(whole)


def test_anybody_checks_a_genuine_one_in_either_form(scene: Scene, app: Flask) -> None:
    anybody = Visitor(app.test_client())
    for raw in (scene.signed.file, scene.signed.compact.encode(), scene.signed.file + b"\r\n"):
        page = brought(anybody, raw)
        assert "Genuine" in page.says
        assert "Review this loan application" in page.says
    anybody.get("/receipts/check")
    assert "Genuine" in anybody.tap("Check it", pasted=scene.signed.file.decode()).says


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("consent", "use", "expires_at"), "2099-01-01T00:00:00Z", "how long and how often it may be read"),
        (("consent", "items", 0, "chosen"), False, "the data item “Item p.edu.degree”"),
        (("consent", "items", 0, "label"), {"zh_hans": "<b>x</b>"}, "the data item “&lt;b&gt;x&lt;/b&gt;”"),
        (("consent", "items", 0), "no item", "the data item “?”"),
        (("notice", "text"), "another text", "the text as it was shown"),
        (("consent", "scope"), ["more"], "another part of the authorization"),
        (("status",), "withdrawn", "number, date or state of the receipt"),
    ],
)
def test_an_altered_one_is_told_and_the_part_is_named(
    scene: Scene, path: tuple[str | int, ...], value: Any, named: str
) -> None:
    page = brought(scene.visitor, with_changed(scene.signed, *path, value=value))
    assert page.status == 200
    assert "The signature does not fit." in page.says
    assert named in page.html
    assert "Genuine" not in page.says


def test_one_of_another_service_a_resaved_one_and_rubbish_are_told_apart(scene: Scene) -> None:
    foreign = jose.SigningKey(kid="theirs", alg="ES256", private_key=jose.generate_key("ES256"))
    cases = {
        Signed.sign(scene.signed.content, foreign).file: "It is signed, but not by us.",
        json.dumps(json.loads(scene.signed.file), indent=1).encode(): "The file was saved anew in another form",
        scene.signed.file.replace(b'"evidence":null', b'"evidence":true'): "This is no receipt",
        b"%PDF-1.3 \xff\xfe": "This is no receipt",
        b"": "This is no receipt",
    }
    for raw, said in cases.items():
        page = brought(scene.visitor, raw)
        assert (page.status, said in page.says, "Genuine" in page.says) == (200, True, False), said


def test_the_signature_of_a_token_of_ours_is_no_receipt(scene: Scene) -> None:
    now, ring = clock.now(), factories.registry().keyring
    token = jose.sign({"schema": receipts.SCHEMA}, ring.signing_key(KeyUse.TOKENS, now), typ=receipts.TYP)
    assert receipt_check.check(token.encode(), now, keyring=ring).verdict == Verdict.FOREIGN
    other_type = jose.sign({"schema": receipts.SCHEMA}, ring.signing_key(KeyUse.RECORDS, now), typ="dsa-consent+json")
    assert receipt_check.check(other_type.encode(), now, keyring=ring).verdict == Verdict.ALTERED


def test_checking_tells_nothing_that_was_not_brought(scene: Scene) -> None:
    """Who has only the number cannot try out what the receipt says: a number of nothing has the same answer."""
    signature = scene.signed.signature

    def answered(receipt_id: str, text: str) -> str:
        guess = {"receipt_id": receipt_id, "consent": {"items": []}, "notice": {"text": text}, "digests": {}}
        raw = jose.canonical({"receipt": guess, "signature": signature, "evidence": None})
        return brought(scene.visitor, raw).says

    right = factories.shown(scene.now).text
    answers = {
        answered(receipt_id, text) for receipt_id in (scene.row.receipt_id, "rcp_0") for text in (right, "wrong")
    }
    assert len(answers) == 1


def test_the_code_on_paper_says_whether_there_is_such_a_receipt(scene: Scene, app: Flask) -> None:
    anybody, number, digest = Visitor(app.test_client()), scene.row.receipt_id, scene.row.digest
    there = anybody.get(f"/receipts/check?receipt={number}&digest={digest}")
    assert "was issued here. Whether the paper says the same" in there.says
    assert "Lingnan" not in there.says
    for query in (f"receipt={number}&digest={'0' * 64}", f"receipt=rcp_0&digest={digest}", "receipt=%00&digest=%ff"):
        page = anybody.get(f"/receipts/check?{query}")
        assert (page.status, "No receipt with this number" in page.says) == (200, True)
    assert "number and fingerprint" not in anybody.get("/receipts/check").says


def test_what_is_too_large_is_refused(scene: Scene) -> None:
    assert "This is no receipt" in brought(scene.visitor, b"{" + b" " * receipt_check.MAX_BYTES).says
    assert brought(scene.visitor, b"a" * 400_000).status == 413


def test_checking_never_fails(app: Flask, now: dt.datetime) -> None:
    world, registry = factories.world(now), factories.registry()
    row = receipts.latest(world.consent.consent_id)
    assert row is not None
    good = receipts.signed(row, vault=registry.vault)

    @settings(max_examples=200, deadline=None)
    @given(
        st.one_of(
            st.binary(max_size=300),
            st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")),
            st.tuples(st.integers(0, len(good.file) - 1), st.integers(1, 255)).map(
                lambda at: good.file[: at[0]] + bytes([good.file[at[0]] ^ at[1]]) + good.file[at[0] + 1 :]
            ),
            st.sampled_from([b'{"receipt":' + b"[" * 90_000, b"[" * 190_000, b'{"signature":1}', b"e30.e30.e30"]),
        )
    )
    def any_bytes(raw: bytes) -> None:
        assert receipt_check.check(raw, now, keyring=registry.keyring).verdict != Verdict.GENUINE

    any_bytes()


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
    how = {"digest": scene.row.digest, "check_url": "https://space.example.org/receipts/check", "language": "en"}
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
