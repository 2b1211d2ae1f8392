"""The table of consent checks is whole, and every test that it names exists and bears the number of its check."""

import re

import pytest

from tests.documents import ROOT
from tests.test_checklist import NAMED, functions_of

NUMBERS = [*range(1, 27), *range(31, 48)]
REASON = re.compile(r"\*(Not yet|Cannot apply):\* \S.{20,}")


def rows() -> dict[str, str]:
    """The last cell of every row, by its check."""
    found = {}
    for line in (ROOT / "docs/consent-checks.md").read_text("utf-8").splitlines():
        if line.startswith("| C-"):
            check, what, proof = (cell.strip() for cell in line.strip("| ").split(" | "))
            assert what
            assert check not in found, line
            found[check] = proof
    return found


ROWS = rows()


def test_no_check_is_left_out() -> None:
    assert list(ROWS) == [f"C-{number:02}" for number in NUMBERS]


@pytest.mark.parametrize("check", ROWS)
def test_every_check_has_a_test_with_its_number_or_a_reason(check: str) -> None:
    named = list(NAMED.finditer(ROWS[check]))
    rest = NAMED.sub("", ROWS[check]).strip()
    assert rest == "" or REASON.fullmatch(rest), rest
    for one in named:
        assert one["test"] in functions_of(one["path"]), one[0]
    number = re.compile(f"_c_?{check.removeprefix('C-')}_")
    assert rest or any(number.search(one["test"]) for one in named), check
