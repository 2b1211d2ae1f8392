"""Identifier rules: vectors of the standards and of the demonstration, and laws of the check digits."""

import contextlib
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataspace import identifiers
from dataspace.errors import InvalidIdentifier
from dataspace.identifiers import BODY_ALPHABET, BlindIndex, Identifier, mask, parse, parse_body, parse_person

TODAY = dt.date(2026, 11, 23)

PERSONS = [
    "11010519491231002X",  # GB 11643-1999, example
    "440524188001010014",  # GB 11643-1999, example of a person born in 1880
    "440099199003150026",  # made up: region 440099 is not assigned
    "440099193709080042",
    "820000199202140102",  # residence permit of a Macau resident
    "810000198909090130",  # residence permit of a Hong Kong resident
]
BODIES = [
    "91350100M000100Y43",  # GB 32100-2015, annex
    "91440099MA9T000184",  # made up
    "92440099MA9T001225",
    "93440099MA9T001147",
    "12440099009900072X",
    "11440099009900080U",
    "52440099MJ99000127",
]
REFUSED_PERSONS = [
    ("110105194912310020", "check digit"),
    ("11010519491231002", "17 digits"),
    ("11010519491231002XX", "17 digits"),
    ("", "17 digits"),
    ("１１０１０５１９４９１２３１００２X", "17 digits"),  # full-width digits look right and are not
    ("1101051949123100-2", "17 digits"),
    ("X10105194912310021", "17 digits"),
    ("110105194912310 02X", "17 digits"),
    ("160105194912310020", "province"),
    ("000105194912310020", "province"),
    ("110105194902300020", "birth date"),  # 30 February
    ("110105190002290020", "birth date"),  # 1900 was no leap year
    ("110105194913010020", "birth date"),
    ("110105000001010020", "birth date"),
    ("110105202611240020", "future"),
]
REFUSED_BODIES = [
    ("91350100M000100Y4Z", "18 characters"),  # the well-known wrong one: Z is not in the alphabet
    ("91350100M000100Y44", "check character"),
    ("91350100I000100Y43", "18 characters"),
    ("91350100M000100Y4", "18 characters"),
    ("9135010AM000100Y43", "18 characters"),  # the region is digits
    ("", "18 characters"),
    ("９1350100M000100Y43", "18 characters"),
]


@pytest.mark.parametrize("text", PERSONS)
def test_person_vectors_pass(text: str) -> None:
    assert parse_person(text, today=TODAY) == Identifier(text, "GB11643")
    assert parse_person(f" {text.lower()}\n", today=TODAY).value == text


@pytest.mark.parametrize("text", BODIES)
def test_body_vectors_pass(text: str) -> None:
    assert parse_body(text) == Identifier(text, "GB32100")
    assert parse_body(text.lower()).value == text


@pytest.mark.parametrize(("text", "reason"), REFUSED_PERSONS)
def test_wrong_persons_are_refused_without_being_repeated(text: str, reason: str) -> None:
    with pytest.raises(InvalidIdentifier, match=reason) as refusal:
        parse_person(text, today=TODAY)
    assert not text or text not in str(refusal.value)


@pytest.mark.parametrize(("text", "reason"), REFUSED_BODIES)
def test_wrong_bodies_are_refused_without_being_repeated(text: str, reason: str) -> None:
    with pytest.raises(InvalidIdentifier, match=reason) as refusal:
        parse_body(text)
    assert not text or text not in str(refusal.value)


def test_inner_organisation_code_is_checked_on_its_own() -> None:
    """A code whose outer check character is right and whose GB 11714 check (Y -> 4) is not."""
    wrong = "91350100M000100Y5"
    with pytest.raises(InvalidIdentifier, match="organisation code"):
        parse_body(wrong + identifiers.body_check(wrong))


def test_born_today_is_accepted_and_born_tomorrow_is_not() -> None:
    first_17 = "44009920261123001"
    newborn = first_17 + identifiers.person_check(first_17)
    assert parse_person(newborn, today=TODAY).value == newborn
    with pytest.raises(InvalidIdentifier, match="future"):
        parse_person(newborn, today=TODAY - dt.timedelta(days=1))


def test_kind_decides_the_scheme() -> None:
    assert parse("natural_person", PERSONS[0], today=TODAY).scheme == "GB11643"
    for kind in ("legal_entity", "unincorporated"):
        assert parse(kind, BODIES[0], today=TODAY).scheme == "GB32100"


@st.composite
def persons(draw: st.DrawFn) -> str:
    province = draw(st.sampled_from(sorted(identifiers.PROVINCES)))
    born = draw(st.dates(dt.date(1900, 1, 1), TODAY))
    first_17 = f"{province}{draw(st.integers(0, 9999)):04}{born:%Y%m%d}{draw(st.integers(0, 999)):03}"
    return first_17 + identifiers.person_check(first_17)


@st.composite
def bodies(draw: st.DrawFn) -> str:
    letters = st.text(BODY_ALPHABET, min_size=8, max_size=8)
    organisation = draw(letters)
    head = draw(st.sampled_from(["11", "12", "51", "52", "53", "91", "92", "93"]))
    first_17 = f"{head}{draw(st.integers(0, 999999)):06}{organisation}{identifiers.organisation_check(organisation)}"
    return first_17 + identifiers.body_check(first_17)


@given(persons(), st.integers(0, 17), st.sampled_from("0123456789X"))
def test_any_single_changed_digit_of_a_person_is_refused(text: str, place: int, digit: str) -> None:
    assert parse_person(text, today=TODAY).value == text
    if text[place] != digit:
        with pytest.raises(InvalidIdentifier):
            parse_person(text[:place] + digit + text[place + 1 :], today=TODAY)


@given(bodies(), st.integers(0, 17), st.sampled_from(BODY_ALPHABET))
def test_any_single_changed_character_of_a_body_is_refused(text: str, place: int, character: str) -> None:
    assert parse_body(text).value == text
    if text[place] != character:
        with pytest.raises(InvalidIdentifier):
            parse_body(text[:place] + character + text[place + 1 :])


@given(persons(), st.integers(0, 16))
def test_two_swapped_neighbours_of_a_person_are_refused(text: str, place: int) -> None:
    swapped = text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    if swapped != text:
        with pytest.raises(InvalidIdentifier):
            parse_person(swapped, today=TODAY)


@given(st.text(max_size=40))
def test_garbage_raises_nothing_else(text: str) -> None:
    for kind in ("natural_person", "legal_entity"):
        with contextlib.suppress(InvalidIdentifier):
            parse(kind, text, today=TODAY)


def test_repr_and_mask_hide_the_value() -> None:
    value = PERSONS[0]
    assert value not in repr(parse_person(value, today=TODAY))
    assert mask(value) == "110*************2X"
    assert len(mask(value)) == len(value)
    assert mask("12345") == "*****"


def test_blind_index_depends_on_key_scheme_and_value() -> None:
    person = Identifier("91350100M000100Y43", "GB11643")
    body = Identifier("91350100M000100Y43", "GB32100")
    index = BlindIndex(b"k" * 32)
    seen = {index.of(person), index.of(body), BlindIndex(b"l" * 32).of(body), index.of(Identifier("9", "GB32100"))}
    assert len(seen) == 4
    assert index.of(body) == index.of(parse_body("91350100m000100y43"))
    assert all(len(digest) == 64 and person.value not in digest for digest in seen)
