"""The table of bad input is whole, and every test that it names exists."""

import pytest

from tests.documents import ROOT, rows
from tests.test_checklist import NAMED, functions_of

KINDS = (
    "Replayed form posts", "Reordered form posts", "Tampered step state", "Another person's `request_uri",
    "The mandate is lost half-way", "An item is withdrawn from the catalogue between page and post",
    "A rule set that contradicts itself", "The clock jumps backwards", "Callbacks to hostile addresses",
    "Acknowledgement bodies of 10 MB", "A receipt changed by one byte",
)  # fmt: skip
TABLE = rows(ROOT / "docs/threats.md", "|".join(KINDS))


def test_no_kind_is_left_out() -> None:
    assert tuple(TABLE) == KINDS


@pytest.mark.parametrize("kind", KINDS)
def test_every_named_test_exists(kind: str) -> None:
    _happens, proof = TABLE[kind]
    named = list(NAMED.finditer(proof))
    assert named
    assert NAMED.sub("", proof).strip("` ") == ""
    for one in named:
        assert one["test"] in functions_of(one["path"]), one[0]
