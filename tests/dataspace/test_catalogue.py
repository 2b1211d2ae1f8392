"""The catalogue: loading checked files, versions, and what a wrong file is told."""

import datetime as dt
from pathlib import Path

import pytest
import sqlalchemy as sa
from flask import Flask

from dataspace import catalogue
from dataspace.catalogue import DataItem
from dataspace.db import db
from dataspace.errors import InvalidFile, NotFound

RULES = """
[[rule_sets]]
name = "test-1"
title = { zh_hans = "规则", zh_hant = "規則", en = "Rules" }
valid_from = "2025-01-01"
based_on = ["GB/T 43697-2024"]
classes = [
  { id = "PI", label = { zh_hans = "一般", zh_hant = "一般", en = "General" }, meaning = { zh_hans = "一", zh_hant = "一", en = "x" } },
  { id = "SPI", label = { zh_hans = "敏感", zh_hant = "敏感", en = "Sensitive" }, meaning = { zh_hans = "一", zh_hant = "一", en = "x" }, sensitive = true },
]
levels = [
  { level = 1, meaning = { zh_hans = "一", zh_hant = "一", en = "one" } },
  { level = 3, meaning = { zh_hans = "三", zh_hant = "三", en = "three" } },
]
"""  # noqa: E501 - one line of TOML per class, as in the real files

ITEM = """
[[items]]
item_id = "p.energy.home"
subject = "natural_person"
labels = { zh_hans = "居民用电", zh_hant = "居民用電", en = "Home electricity" }
authority = { zh_hans = "电网", zh_hant = "電網", en = "Grid" }
system = "营销系统"
cardinality = "many"
period_field = "month"
rule_set = "test-1"
pi_class = "PI"
level = 1
sensitive = false
share = "C"
frequency = "M"
fields = [
  { id = "month", label = { zh_hans = "月份", zh_hant = "月份", en = "Month" } },
  { id = "kwh", label = { zh_hans = "用电量", zh_hant = "用電量", en = "Consumption" } },
]
"""

LIGHT = ITEM.replace("p.energy.home", "p.energy.light")


ANSWER = """
[[items]]
item_id = "p.energy.steady"
subject = "natural_person"
labels = { zh_hans = "连续用电", zh_hant = "連續用電", en = "Steady use" }
authority = { zh_hans = "电网", zh_hant = "電網", en = "Grid" }
system = "营销系统"
cardinality = "one"
rule_set = "test-1"
pi_class = "PI"
level = 1
sensitive = false
share = "C"
derived = true
derivation = { rule = "at_least", from = "p.energy.home", field = "kwh", value = 5 }
frequency = "M"
fields = [{ id = "answer", label = { zh_hans = "是否", zh_hant = "是否", en = "Answer" } }]
"""


@pytest.fixture
def write(tmp_path: Path):
    """Write files into an empty folder and return it."""

    def write(**files: str) -> list[Path]:
        for name, text in files.items():
            (tmp_path / f"{name}.toml").write_text(text, encoding="utf-8")
        return [tmp_path]

    return write


def rows(app: Flask) -> int:
    return db.session.scalar(sa.select(sa.func.count()).select_from(DataItem)) or 0


def test_load_is_idempotent_and_a_changed_entry_is_a_new_version(app: Flask, now: dt.datetime, write) -> None:
    assert catalogue.load(write(a=RULES, b=ITEM + LIGHT), now).added == (("p.energy.home", 1), ("p.energy.light", 1))
    assert catalogue.load(write(), now) == catalogue.LoadResult((), 3)
    moved = ITEM.replace('frequency = "M"', 'frequency = "D"')
    assert catalogue.load(write(b=moved + LIGHT), now).added == (("p.energy.home", 2),)
    assert catalogue.current(["p.energy.home"])["p.energy.home"].frequency == "D"
    both = catalogue.versions([("p.energy.home", 1), ("p.energy.home", 2), ("p.energy.home", 3)])
    assert {key: item.frequency for key, item in both.items()} == {("p.energy.home", 1): "M", ("p.energy.home", 2): "D"}
    assert [item.item_id for item in catalogue.all_current()] == ["p.energy.home", "p.energy.light"]
    # Going back to the first wording is a third version: history is appended.
    assert catalogue.load(write(b=ITEM), now).added == (("p.energy.home", 3),)


def test_order_of_keys_in_the_file_does_not_matter(app: Flask, now: dt.datetime, write) -> None:
    catalogue.load(write(a=RULES, b=ITEM), now)
    lines = ITEM.strip().splitlines()
    swapped = "\n".join([lines[0], lines[2], lines[1], *lines[3:]]) + "\nimportant = false\n"
    assert catalogue.load(write(b=swapped), now).added == ()


def test_look_ups_are_one_query_each(app: Flask, now: dt.datetime, write) -> None:
    catalogue.load(write(a=RULES, b=ITEM + LIGHT), now)
    db.session.commit()
    statements: list[str] = []
    sa.event.listen(db.engine, "before_cursor_execute", lambda *a: statements.append(a[2]))
    catalogue.current(["p.energy.home", "p.energy.light", "p.energy.none"])
    catalogue.versions([("p.energy.home", 1), ("p.energy.light", 1)])
    catalogue.all_current()
    assert len(statements) == 3
    assert catalogue.versions([]) == catalogue.current([]) == {}


def test_texts_in_three_languages(app: Flask, now: dt.datetime, write) -> None:
    catalogue.load(write(a=RULES, b=ITEM), now)
    item = catalogue.current(["p.energy.home"])["p.energy.home"]
    assert [item.label(locale) for locale in ("zh_Hans", "zh_Hant", "en", "pt")] == [
        "居民用电",
        "居民用電",
        "Home electricity",
        "居民用电",
    ]
    assert item.field_label("kwh", "en") == "Consumption"
    assert item.authority_name("zh_Hant") == "電網"
    assert item.impact_text("en") == ""
    with pytest.raises(NotFound):
        item.field_label("none", "en")


def test_a_sensitive_field_makes_the_asking_sensitive(app: Flask, now: dt.datetime, write) -> None:
    sensitive = ITEM.replace(
        'en = "Consumption" } }', 'en = "Consumption" }, sensitive = true, masked = true }'
    ).replace('share = "C"', 'share = "C"\nimpact = { zh_hans = "一", zh_hant = "一", en = "Harm" }')
    catalogue.load(write(a=RULES, b=sensitive), now)
    item = catalogue.current(["p.energy.home"])["p.energy.home"]
    assert not item.is_sensitive_for(["month"])
    assert item.is_sensitive_for(["month", "kwh"])
    assert [item.is_masked(f) for f in item.field_ids()] == [False, True]


# What is changed in the item file b.toml -> the line that the loader must print.
WRONG = [
    ('level = 1', 'level = 5', "p.energy.home: level: must be at most 4"),
    ('level = 1', 'level = 2', "p.energy.home: level: is not defined by the rule set"),
    ('level = 1', 'level = "1"', "p.energy.home: level: must be a whole number"),
    ('system = "营销系统"\n', "", "p.energy.home: system: is missing"),
    ('system = "营销系统"', 'sytem = "x"', "p.energy.home: sytem: is not known here"),
    ('en = "Month"', 'fr = "mois"', "p.energy.home: fields[1].label.en: is missing"),
    ('en = "Month"', 'en = ""', "p.energy.home: fields[1].label.en: is empty"),
    ('en = "Month"', 'en = "a\\nb"', "p.energy.home: fields[1].label.en: does not have the required form"),
    ('id = "kwh"', 'id = "month"', "p.energy.home: fields[2].id: is used twice"),
    ('period_field = "month"', 'period_field = "day"', "p.energy.home: period_field: is none of the fields"),
    ('"many"', '"one"', "p.energy.home: period_field: makes sense only for cardinality many"),
    ('"many"', '"two"', "p.energy.home: cardinality: must be one of one, many"),
    ('"natural_person"', '"body"', "p.energy.home: subject: does not fit the first letter of item_id"),
    ('pi_class = "PI"', 'pi_class = "SPI"', "p.energy.home: sensitive: must be true for this pi_class"),
    ('pi_class = "PI"', 'pi_class = "XX"', "p.energy.home: pi_class: is not defined by the rule set"),
    (
        "sensitive = false",
        "sensitive = true",
        "p.energy.home: impact: is missing, but the item or one of its fields is sensitive",
    ),
    ('rule_set = "test-1"', 'rule_set = "test-2"', "p.energy.home: rule_set: is not known"),
    ('item_id = "p.energy.home"\n', "", "items 1: item_id: is missing"),
    ('item_id = "p.energy.home"', 'item_id = "home"', "home: item_id: does not have the required form"),
    ("level = 1", "level = ", "line 12, column 9: Invalid value"),
    ("[[items]]", "[[itmes]]", "itmes: is not known here"),
    ("[[items]]", "[items]", "items: must be a list"),
    (ITEM, ITEM + ITEM, "p.energy.home: item_id: is used already in b.toml"),
]  # fmt: skip


@pytest.mark.wire
@pytest.mark.parametrize(("old", "new", "line"), WRONG)
def test_an_error_on_one_line_is_named_and_nothing_is_loaded(
    app: Flask, now: dt.datetime, write, old: str, new: str, line: str
) -> None:
    with pytest.raises(InvalidFile) as refusal:
        catalogue.load(write(a=RULES, b=ITEM.replace(old, new, 1), c=LIGHT), now)
    assert f"b.toml: {line}" in refusal.value.problems
    assert rows(app) == 0


def test_all_problems_of_all_files_are_named_at_once(app: Flask, now: dt.datetime, write, tmp_path: Path) -> None:
    paths = write(
        a=RULES,
        b=ITEM.replace("level = 1", "level = 7").replace('share = "C"', 'share = "Z"'),
        c=LIGHT.replace('"month"\n', '"day"\n'),
        d=ITEM,
    )
    (tmp_path / "e.toml").write_bytes(b"# one\n# two \xff\n")
    with pytest.raises(InvalidFile) as refusal:
        catalogue.load([*paths, tmp_path / "none.toml"], now)
    assert refusal.value.problems == [
        "b.toml: p.energy.home: level: must be at most 4",
        "b.toml: p.energy.home: share: must be one of U, C, N",
        "e.toml: line 2: is not UTF-8",
        "none.toml: cannot be read: No such file or directory",
        "d.toml: p.energy.home: item_id: is used already in b.toml",
        "c.toml: p.energy.light: period_field: is none of the fields",
    ]


def test_a_rule_set_in_use_keeps_its_meaning(app: Flask, now: dt.datetime, write) -> None:
    catalogue.load(write(a=RULES, b=ITEM), now)
    with pytest.raises(InvalidFile, match="is in use for other definitions"):
        catalogue.load(write(a=RULES.replace('en = "three"', 'en = "3"')), now)
    # The rule set need not be in the file again.
    assert catalogue.load(write(a="", b=ITEM + LIGHT), now).added == (("p.energy.light", 1),)


@pytest.mark.parametrize(
    ("validity", "line"),
    [
        ('valid_from = "2025-02-30"', "a.toml: test-1: valid_from: is no date"),
        ('valid_from = "2025-01-01"\nvalid_until = "2024-01-01"', "a.toml: test-1: valid_until: is before valid_from"),
        (
            'valid_from = "2025-01-01"\nvalid_until = "2025-12-31"',
            "b.toml: p.energy.home: rule_set: is not valid today",
        ),
        ('valid_from = "2027-01-01"', "b.toml: p.energy.home: rule_set: is not valid today"),
    ],
)
def test_a_rule_set_has_a_validity(app: Flask, write, validity: str, line: str) -> None:
    rules = RULES.replace('valid_from = "2025-01-01"', validity)
    with pytest.raises(InvalidFile) as refusal:
        catalogue.load(write(a=rules, b=ITEM), dt.datetime(2026, 6, 1, tzinfo=dt.UTC))
    assert line in refusal.value.problems


@pytest.mark.parametrize(
    ("value", "span"),
    [
        ("2026-10", ("2026-10", "2026-10")),
        ("2026-10-31", ("2026-10", "2026-10")),
        ("2026-Q1", ("2026-01", "2026-03")),
        ("2026-Q4", ("2026-10", "2026-12")),
        ("2026", ("2026-01", "2026-12")),
        ("2026-13", None),
        ("2026-Q5", None),
        ("26-10", None),
        ("", None),
        (None, None),
        (202610, None),
    ],
)
def test_months_of_a_period_value(value: object, span: tuple[str, str] | None) -> None:
    assert catalogue.months(value) == span


@pytest.mark.parametrize(
    ("value", "first", "last", "inside"),
    [
        ("2026-03", "2026-03", "2026-03", True),
        ("2026-03", "2026-04", None, False),
        ("2026-03", None, "2026-02", False),
        ("2026-Q1", "2026-03", "2026-08", False),
        ("2026-Q3", "2025-12", "2026-10", True),
        ("2026-Q4", "2025-12", "2026-09", False),
        ("2025", "2025-12", "2026-10", False),
        ("2025", "2024-11", "2026-10", True),
        ("2024", "2025-12", "2026-10", False),
        (None, None, None, False),
    ],
)
def test_rows_are_cut_to_a_period(value: object, first: str | None, last: str | None, inside: bool) -> None:
    assert catalogue.in_period(value, first, last) is inside


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("derived = true\n", "", "makes sense only for an item that is derived"),
        ('id = "answer"', 'id = "kwh"', "needs an item of one row with the fields answer and, perhaps, as_of"),
        ("p.energy.home", "p.energy.none", "from is no item of the same kind of holder that a source brings"),
        ("p.energy.home", "p.energy.steady", "from is no item of the same kind of holder that a source brings"),
        ('"kwh"', '"fee"', "names a field that the other item does not have"),
        ('field = "kwh", value = 5', "months = 5", ""),
        ('"at_least"', '"best"', ""),
    ],
)
def test_what_an_answer_is_computed_from_has_to_be_there(  # type: ignore[no-untyped-def]
    app: Flask, now: dt.datetime, write, old: str, new: str, what: str
) -> None:
    catalogue.load(write(a=RULES + ITEM), now)
    with pytest.raises(InvalidFile) as refusal:
        catalogue.load(write(b=ANSWER.replace(old, new)), now)
    assert any(
        line.startswith("b.toml: p.energy.steady: derivation") and what in line for line in refusal.value.problems
    )
    catalogue.load(write(b=ANSWER), now)
    counted = ANSWER.replace('"at_least"', '"continuous_months"').replace('field = "kwh", value = 5', "months = 5")
    assert catalogue.load(write(b=counted), now).added == (("p.energy.steady", 2),)
