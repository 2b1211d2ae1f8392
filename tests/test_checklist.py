"""The security checklist is whole, and every test that it names exists."""

import ast
import re
from functools import cache

import pytest

from tests.consent.test_negatives import CASES
from tests.documents import ROOT

CHECKLIST = ROOT / "docs/security-checklist.md"
# OWASP ASVS 5.0, chapter V10: how many requirements each section has.
REQUIREMENTS = {1: 2, 2: 3, 3: 5, 4: 16, 5: 5, 6: 2, 7: 3}
# RFC 9700: the numbered best practices of section 2 and attacks of section 4.
PRACTICES = ("2.1", "2.1.1", "2.1.2", "2.2.1", "2.2.2", "2.3", "2.4", "2.5", "2.6")
ATTACKS = tuple(f"4.{n}" for n in range(1, 18))
# RFC 8628, section 5 (5.6 is of devices without their own screen), and what CIBA Core says of the same in 7 and 11.
FETCHED = (
    "8628-5.1",
    "8628-5.2",
    "8628-5.3",
    "8628-5.4",
    "8628-5.5",
    "8628-5.6",
    "8628-5.7",
    *(f"CIBA-{n}" for n in (7, 8, 10, 11)),
)
NAMED = re.compile(r"`(?P<path>tests/[\w/]+\.py)::(?P<test>\w+)(?:\[(?P<case>[^\]]+)\])?`")


def rows() -> dict[str, str]:
    """The last cell of every row, by the first."""
    found = {}
    for line in CHECKLIST.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if re.match(r"\| (\d|CIBA)", line):
            assert len(cells) == 4, line
            assert cells[0] not in found, line
            found[cells[0]] = cells[3].strip("| ")
    return found


ROWS = rows()


@cache
def functions_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("item", ROWS)
def test_every_named_test_exists(item: str) -> None:
    named = list(NAMED.finditer(ROWS[item]))
    assert named
    assert NAMED.sub("", ROWS[item]).strip() == ""
    for one in named:
        assert one["test"] in functions_of(one["path"]), one[0]
        if one["case"]:
            assert one["path"] == "tests/consent/test_negatives.py"
            assert one["case"] in {str(case) for case in CASES}, one[0]


def test_no_item_is_left_out() -> None:
    ids = [item.split(" ")[0] for item in ROWS]
    asvs = [f"10.{section}.{n}" for section, count in REQUIREMENTS.items() for n in range(1, count + 1)]
    assert [item for item in ids if item.startswith("10.")] == asvs
    assert set(ids) - set(asvs) == {*PRACTICES, *ATTACKS, *FETCHED}
