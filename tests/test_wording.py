"""The texts of the pages, as text: one script per language, its punctuation, and the words of docs/wording.md.

How long sentences may be is check C-06, in tests/consent/test_checks.py.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

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


@pytest.mark.parametrize("locale", STANDARD)
def test_one_thing_has_one_word(locale: str) -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", GLOSSARY, flags=re.M)[2:]
    never = [word for row in rows for word in row[3].strip().split("、")]
    assert len(never) > 5
    assert [text for _english, text in texts(locale) if any(word in text for word in never)] == []
