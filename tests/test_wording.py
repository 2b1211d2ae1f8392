"""The texts of the pages, as text: one script per language, its punctuation, and the words of docs/wording.md.

How long sentences may be is check C-06, in tests/consent/test_checks.py.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from consent.web.grounds import GROUNDS, label

ROOT = Path(__file__).resolve().parent.parent
# Characters that a script's own standard has: whatever else is Chinese belongs to the other script.
STANDARD = {"zh_Hans": "gb2312", "zh_Hant": "big5hkscs"}
GLOSSARY = (ROOT / "docs/wording.md").read_text("utf-8")
CHINESE = "\u4e00-\u9fff"
HALF_WIDTH = rf"[{CHINESE}][,:;?!]|[,;?!][{CHINESE}]|[{CHINESE}]\(|\)[{CHINESE}]"
PLACE = r"%\(\w+\)s"


def texts(locale: str) -> Iterator[tuple[str, str]]:
    """(English, translated), each plural form by itself."""
    with (ROOT / f"translations/{locale}/LC_MESSAGES/messages.po").open("rb") as file:
        for message in read_po(file):
            english = message.id if isinstance(message.id, str) else message.id[-1]
            forms = [message.string] if isinstance(message.string, str) else message.string
            yield from ((english, form) for form in forms if english)


@pytest.mark.parametrize("locale", STANDARD)
def test_chinese_texts_keep_to_one_script(locale: str) -> None:
    wrong = {
        text: "".join(foreign)
        for _english, text in texts(locale)
        if (foreign := [c for c in re.findall(f"[{CHINESE}]", text) if not c.encode(STANDARD[locale], "ignore")])
    }
    assert wrong == {}


@pytest.mark.parametrize("locale", STANDARD)
def test_chinese_texts_have_chinese_punctuation(locale: str) -> None:
    assert [text for _english, text in texts(locale) if re.search(HALF_WIDTH, text)] == []


@pytest.mark.parametrize("locale", STANDARD)
def test_translations_fill_the_same_places(locale: str) -> None:
    wrong = [
        (english, text)
        for english, text in texts(locale)
        if set(re.findall(PLACE, text)) - {"%(num)s"} != set(re.findall(PLACE, english)) - {"%(num)s"}
    ]
    assert wrong == []


def test_no_text_names_an_id_of_ours_or_asks_ok() -> None:
    every = [text for locale in STANDARD for pair in texts(locale) for text in pair]
    assert [t for t in every if re.search(r"\b(cns|rcp|mnd|hld)_|^(OK|Cancel|确定|取消|確定)$", t)] == []


def never(table: str) -> list[str]:
    """The words in the last column of a table of docs/wording.md."""
    rows = re.findall(r"^\|.*\| ([^|]+) \|$", table, flags=re.M)[1:]
    return [word for row in rows for word in row.strip().split("、") if word.strip("-")]


FORBIDDEN = [*never(GLOSSARY.partition("\n## Rules")[0]), *never(GLOSSARY.partition("\n## Never")[2])]
# Chinese that people read and that does not pass through the translations.
WRITTEN = [
    *(ROOT / "demonstration").rglob("*.toml"),
    *(ROOT / "examples/bank").rglob("*.html"),
    *(ROOT / "tools").glob("*.py"),
    ROOT / "examples/bank/offers.py",
    ROOT / "consent/receipt_words.py",
    ROOT / "consent/purposes.py",
]


def test_the_lists_are_read() -> None:
    assert {"你", "權杖", "Are you sure", "后果自负"} < set(FORBIDDEN)
    assert len(WRITTEN) > 5


@pytest.mark.parametrize("locale", STANDARD)
def test_one_thing_has_one_word_and_nothing_pushes(locale: str) -> None:
    wrong = [(word, text) for pair in texts(locale) for text in pair for word in FORBIDDEN if word in text]
    assert wrong == []


@pytest.mark.parametrize("file", WRITTEN, ids=lambda file: file.relative_to(ROOT).as_posix())
def test_what_is_written_elsewhere_keeps_to_the_same_words(file: Path) -> None:
    text = file.read_text("utf-8")
    assert [word for word in FORBIDDEN if word in text] == []


def test_every_reason_that_is_kept_as_a_code_has_words() -> None:
    """Pages show reasons of events; one without a label would be a code to whoever reads it."""
    found = {
        code
        for file in (ROOT / "consent").rglob("*.py")
        for code in re.findall(r'reason_code="(\w+)"', file.read_text("utf-8"))
    }
    assert "self" in found
    assert found - set(GROUNDS) == set()
    assert label("never_heard_of") == ""
