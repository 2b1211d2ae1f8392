"""Checks of consent whose proof lies in texts and registrations rather than in a journey (docs/consent-checks.md)."""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from babel.messages.pofile import read_po

from consent import scenarios
from consent.records import ConsentNotice
from dataspace import datafiles
from dataspace.db import db
from dataspace.sealing import unseal
from dataspace.web.shell import services
from tests import factories
from tests.consent.scene import EXTRA, LAB, PLAIN, Scene
from tests.documents import ROOT

PROCESSOR = {"name": "穗核", "role": "processor", "place": "广州", "what_for": factories.text("核对", "Checks")}
DEMONSTRATION = ROOT / "demonstration"
LAWS = re.compile(
    r"《|个人信息保护法|個人信息保護法|\bPIPL\b|\bGB/T\b|第[\d一二三四五六七八九十]+条|\barticle \d|\bsection \d", re.I
)
# Every sentence that the pages of a request can say: the templates themselves, and the words they are given.
SOURCES = (
    *ROOT.glob("templates/consent/*"),
    ROOT / "templates/parts/consent.html",
    *(ROOT / f"consent/web/{name}.py" for name in ("words", "wording", "visits", "changes", "asking", "authorize")),
)
LITERAL = re.compile(r"""(?:_|lazy_gettext)\(\s*(["'])(.+?)\1""")


def purposes() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = tomllib.loads((DEMONSTRATION / "scenarios.toml").read_text("utf-8"))["purposes"]
    return found


def items() -> list[dict[str, Any]]:
    files = ("personal.toml", "entity.toml")
    return [i for f in files for i in tomllib.loads((DEMONSTRATION / "catalogue" / f).read_text("utf-8"))["items"]]


def texts() -> Iterator[tuple[str, dict[str, str]]]:
    """Everything that people read of the demonstration on a consent page, with where it stands."""
    for purpose in purposes():
        for name in ("text", "methods", "storage_location"):
            if name in purpose:
                yield f"{purpose['code']}.{name}", purpose[name]
        yield f"{purpose['code']}.retention", purpose["retention"]["text"]
        yield from ((f"{purpose['code']}.{i['item']}", i["reason"]) for i in purpose["items"])
        yield from ((f"{purpose['code']}.{t['name']}", t["what_for"]) for t in purpose["third_parties"])
    for item in items():
        yield item["item_id"], item["labels"]
        yield from ((f"{item['item_id']}.{f['id']}", f["label"]) for f in item["fields"])
        if "impact" in item:
            yield f"{item['item_id']}.impact", item["impact"]


def sentences(text: str) -> list[str]:
    return [s.strip() for s in re.split(r"[。！？；;:：]|[.!?](?:\s|$)", text) if s.strip()]


def too_long(text: str, *, english: bool) -> list[str]:
    """Sentences over 20 English words or 40 Chinese characters."""
    if english:
        return [s for s in sentences(text) if len(s.split()) > 20]
    return [s for s in sentences(text) if len(re.sub(r"%\(\w+\)s|\s", "", s)) > 40]


def said() -> list[str]:
    """The sentences of the consent pages in English."""
    return sorted({m[2] for source in SOURCES for m in LITERAL.finditer(source.read_text("utf-8"))})


def test_c05_a_reason_that_is_missing_or_long_is_refused_at_registration() -> None:
    purpose = purposes()[0]
    for reason in (None, {"zh_hans": "长" * 61, "zh_hant": "長", "en": "Long"}, {"zh_hans": "短"}, {}):
        first = {k: v for k, v in purpose["items"][0].items() if k != "reason"}
        first |= {} if reason is None else {"reason": reason}
        document = {"purposes": [purpose | {"items": [first, *purpose["items"][1:]]}]}
        _entries, problems = datafiles.judge("x", document, datafiles.schema(scenarios.SCHEMA), scenarios.NAMES)
        assert any("items[1].reason" in problem for problem in problems), reason


def test_c06_what_people_read_of_the_demonstration_is_short() -> None:
    long = [
        (where, language, sentence)
        for where, text in texts()
        for language, words in text.items()
        for sentence in too_long(words, english=language == "en")
    ]
    assert long == []


@pytest.mark.parametrize("locale", ["en", "zh_Hans", "zh_Hant"])
def test_c06_the_sentences_of_the_pages_are_short(locale: str) -> None:
    assert len(said()) > 150
    if locale == "en":
        shown = said()
    else:
        with (ROOT / f"translations/{locale}/LC_MESSAGES/messages.po").open("rb") as file:
            catalogue = read_po(file, locale=locale)
        found = [catalogue.get(message) for message in said()]
        shown = [str(message.string) for message in found if message]
        assert len(shown) > 150
    assert [s for text in shown for s in too_long(text, english=locale == "en")] == []


def test_c06_no_law_stands_for_an_explanation() -> None:
    everything = [*said(), *(words for _where, text in texts() for words in text.values())]
    assert [text for text in everything if LAWS.search(text)] == []


def test_c07_no_link_replaces_what_has_to_be_said(scene: Scene) -> None:
    page = scene.shows(scene.asks([PLAIN], third_parties=[], methods=factories.text("自动计算", "Computed by machine")))
    for words in ("Review this loan application", "Kept for 30 days, then deleted", "Mainland China", "Field school",
                  "Computed by machine", "For review", "400-000-0000"):  # fmt: skip
        assert words in page.says, words
    links = [href for _words, href in page.links]
    # What stands elsewhere is one's own list of authorizations, where it can be stopped.
    assert [href for href in links if not re.match(r"#|/(authorizations|act-as|signin)", href)] == []


@pytest.mark.parametrize(
    ("usual", "sentence"),
    [
        ({"duration_days": 7}, "This is longer than usual for this purpose: usually 7 days."),
        ({"look_back_months": 6}, "It looks further back than usual: usually 6 months."),
        ({"frequency": {"n": 1, "unit": "month"}}, "It reads more often than usual: usually at most 1 time a month."),
        ({"duration_days": 30, "look_back_months": 12, "frequency": {"n": 1, "unit": "day"}}, ""),
    ],
)
def test_c09_what_is_unusual_is_marked(scene: Scene, usual: dict[str, Any], sentence: str) -> None:
    ask = scene.asks([LAB], frequency={"n": 1, "unit": "week"})
    year = replace(ask.items[0], period_from="2025-10", period_to="2026-09")
    says = scene.shows(replace(ask, items=(year,), usual=usual)).says
    assert sentence in says
    assert says.count(" usual") - says.count("usually") == (1 if sentence else 0)


def test_c44_what_would_be_another_than_before_is_marked(scene: Scene) -> None:
    scene.shows(factories.ask(scene.purpose, scene.now, duration_days=7))
    scene.visitor.tap("Agree")
    (before,) = scene.consents()
    ask = replace(factories.ask(scene.purpose, scene.now), third_parties=(PROCESSOR,))
    page = scene.shows(ask, grant_id=before.consent_id)
    assert "What changes How long Longer Also given to New" in page.says
    rows = {row.split("</strong>")[0]: row for row in re.split(r"<strong>", page.html)}
    assert '<span class="tag accent">New</span>' in rows[f"Item {EXTRA}"]
    assert "tag accent" not in rows[f"Item {PLAIN}"]
    scene.visitor.tap("Agree")
    (after,) = scene.consents()
    assert (after.consent_id, after.version) == (before.consent_id, 2)
    row = db.session.get_one(ConsentNotice, (after.consent_id, 2))
    key = services().vault.key(after.space_id)
    text = unseal(key, row.sealed, identity=f"{after.consent_id}:2").decode()
    assert "[What changes]\nHow long: Longer\nAlso given to: New\n" in text
    assert f"Item {EXTRA}: New" in text


def test_c44_nothing_is_marked_when_nothing_is_replaced(scene: Scene) -> None:
    page = scene.shows()
    assert "What changes" not in page.says
    assert "tag accent" not in page.html


def test_c17_the_form_sends_nothing_but_the_decision(scene: Scene) -> None:
    page = scene.shows(scene.asks([PLAIN], [EXTRA]))
    names = {a["name"] for a in page.forms["decision"].inputs if "name" in a}
    assert names == {"csrf_token", "acting", "share", "days"}
    buttons = {b.text for b in page.buttons if b.form is page.forms["decision"] and b.text}
    assert buttons == {"Refuse", "Agree", "I need more time"}


def test_c19_values_are_masked_until_tapped_and_an_answer_is_shown_as_it_will_be_sent(scene: Scene) -> None:
    answer = factories.item(scene.now, "p.social.months6", ("answer", "as_of"))
    answer.derived = True
    factories.record(scene.person, answer, [{"answer": True, "as_of": "2026-10"}], scene.now)
    scene.items[answer.item_id] = answer
    page = scene.shows(scene.asks([answer.item_id, PLAIN]))
    previews = re.findall(r'<details class="card preview">(.*?)</details>', page.html, re.DOTALL)
    assert len(previews) == 2
    for preview in previews:
        summary, values = preview.split("</summary>")
        assert "••••••" in summary
        assert not re.search("示例大学|2026-10|yes", summary)
        assert re.search("示例大学|2026-10", values)
    assert "Field answer yes Field as_of 2026-10" in page.says
    assert "They get only this answer, not the data behind it." in page.says
