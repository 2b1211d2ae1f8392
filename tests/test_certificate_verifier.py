"""The program that checks certificates without us: it knows good ones, says what is wrong, and crashes on nothing."""

import base64
import datetime as dt
import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import verify_certificate
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from signed import Keys, Refused

from consent import data_certificates, endings, sd_jwt, status_lists
from consent.data_certificates import By, Step
from consent.sd_jwt import SdJwt
from dataspace import clock, jose, jwk
from dataspace.db import db
from tests import factories
from tests.consent.certificate_bank import Bank, altered_disclosure, binding, flipped_signature, make_bank

pytestmark = pytest.mark.wire  # the programs see files, whatever database they came from

PROGRAM = Path(__file__).parent.parent / "verifier" / "verify_certificate.py"
DAY = dt.timedelta(days=1)


@dataclass
class Case:
    """A certificate in somebody's hands, and the keys that he keeps."""

    bank: Bank
    whole: str
    keys: Keys
    http: FlaskClient
    place: dict[str, Any]

    def check(self, text: str, at: dt.datetime | None = None, **asked: str) -> dict[str, Any]:
        return verify_certificate.check(text.encode(), self.keys, at or clock.now(), **asked)

    def status(self) -> bytes:
        return self.http.get(self.place["uri"].removeprefix("http://localhost:8000")).data

    def says(self, text: str, language: str = "en") -> str:
        return "\n".join(verify_certificate.describe(self.check(text), language, None))


@pytest.fixture
def case(app: Flask, client: FlaskClient, tmp_path: Path) -> Case:
    bank = make_bank(client)
    made = bank.makes()
    (tmp_path / "keys.json").write_bytes(client.get("/certificates/keys").data)
    (tmp_path / "certificate.sd-jwt").write_text(made["certificate"], "ascii")
    keys = verify_certificate.load_keys(tmp_path / "keys.json")
    return Case(bank, made["certificate"], keys, client, made["status_list"])


def ours() -> jwk.SigningKey:
    return factories.registry().keyring.signing_key("certificates", clock.now())


def test_it_says_what_is_shown_and_that_more_is_hidden(case: Case) -> None:
    part = SdJwt.read(case.whole).show({"data": ["school"], "about": ["subject"]})
    told = case.says(part)
    assert "Field school: 示例大学" in told
    assert "About whom: 陈嘉怡" in told
    assert "会计" not in told
    assert "Not shown to you: 6 more." in told
    assert "nobody has proven to hold it" in told
    assert f"fetch {case.place['uri']}" in told
    assert "另有 6 项未向您出示。" in case.says(part, "zh")
    assert "Item p.edu.degree" in told
    assert "Source: Example authority, as of 20" in told


TAMPERED: dict[str, tuple[Callable[[Case], str], str]] = {
    "a disclosure changed": (lambda case: altered_disclosure(case.whole), "the field “Field school” was altered"),
    "a disclosure made up": (
        lambda case: case.whole + jwk.b64encode(b'["c2FsdA","major","Another"]') + "~",
        "the field “Field major” was altered or added",
    ),
    "one shown twice": (lambda case: case.whole + case.whole.split("~")[1] + "~", "or is shown twice"),
    "the signature": (lambda case: flipped_signature(case.whole), "The signature of the certificate does not match"),
    "the signed part": (lambda case: case.whole.replace(".", ".e30", 1), "The signature of the certificate does not"),
    "no certificate": (lambda _case: "hello", "damaged, or is no certificate"),
    "a list of statuses": (lambda case: case.status().decode() + "~", "or is something else"),
    "cut in the middle": (lambda case: case.whole[: len(case.whole) // 2] + "~", "does not match"),
    "of the future": (lambda _case: signed_by_us(iat=int((clock.now() + DAY).timestamp())), "dated in the future"),
    "over": (lambda _case: signed_by_us(exp=int((clock.now() - DAY).timestamp())), "its time is over since"),
    "another form": (lambda _case: signed_by_us(vct="urn:other"), "take a newer verifier"),
    "a digest twice": (
        lambda _case: signed_by_us(data={"_sd": ["a"]}, about={"_sd": ["a"]}),
        "a digest stands in it twice",
    ),
    "a moment that is none": (lambda _case: signed_by_us(exp="soon"), "damaged"),
    "bound to nothing": (
        lambda case: signed_by_us() + binding(signed_by_us(), case.bank.proof_key, "n", "a"),
        "The signature of whoever showed it does not match",
    ),
}  # fmt: skip


def signed_by_us(**changes: Any) -> str:
    now = int(clock.now().timestamp())
    claims = {"vct": verify_certificate.VCT, "iat": now, "exp": now + 600} | changes
    return jose.sign(claims, ours(), typ="dc+sd-jwt") + "~"


@pytest.mark.parametrize("name", TAMPERED)
def test_what_does_not_match_is_said(name: str, case: Case) -> None:
    make, sentence = TAMPERED[name]
    with pytest.raises(Refused) as caught:
        case.check(make(case))
    assert caught.value.status == 1
    assert sentence in caught.value.sentence["en"]
    assert caught.value.sentence["zh"].endswith("。")


def test_a_name_that_is_there_already_cannot_be_shown_over_it(case: Case) -> None:
    issued = sd_jwt.issue(
        {"vct": verify_certificate.VCT, "iat": 1, "exp": 2**31}, {"data": {"school": "A"}}, ours(), typ="dc+sd-jwt"
    )
    said = issued.unverified | {"data": issued.unverified["data"] | {"school": "B"}}
    forged = SdJwt(jose.sign(said, ours(), typ="dc+sd-jwt"), issued.disclosures)
    with pytest.raises(Refused, match="a field stands in it twice"):
        case.check(forged.show())


def test_a_key_that_is_not_ours(case: Case) -> None:
    stranger = jwk.SigningKey(kid=ours().kid, alg="ES256", private_key=jwk.generate_key("ES256"))
    claims = SdJwt.read(case.whole).unverified
    with pytest.raises(Refused, match="The signature of the certificate does not match"):
        case.check(jose.sign(claims, stranger, typ="dc+sd-jwt") + "~")
    case.keys.clear()
    with pytest.raises(Refused, match="not in the key file"):
        case.check(case.whole)


def test_who_shows_it_proves_that_it_is_their_own(case: Case) -> None:
    key = case.bank.proof_key
    bound = case.whole + binding(case.whole, key, "n-1", "me")
    assert "has proven that it is their own" in case.says(bound)
    assert case.check(bound, nonce="n-1", audience="me")["_binding"]
    other = jwk.SigningKey(kid=None, alg="ES256", private_key=jwk.generate_key("ES256"))
    part = SdJwt.read(case.whole).show({"data": ["school"]})
    for text, asked in (
        (bound, {"nonce": "n-2"}),
        (bound, {"audience": "you"}),
        (case.whole + binding(case.whole, other, "n-1", "me"), {}),
        (part + binding(case.whole, key, "n-1", "me"), {}),
        (case.whole + "nonsense", {}),
    ):
        with pytest.raises(Refused, match="whoever showed it does not match"):
            case.check(text, **asked)
    with pytest.raises(Refused, match="Nobody has signed"):
        case.check(case.whole, nonce="n-1")


# Statuses


def test_the_list_says_valid_frozen_revoked(case: Case) -> None:
    shown = case.check(case.whole)
    assert verify_certificate.check_status(case.status(), shown, case.keys, clock.now()) <= clock.now()
    vault, number = factories.registry().vault, shown["certificate_no"]
    data_certificates.append(number, Step.FROZEN, clock.now(), by=By.HOLDER, vault=vault)
    db.session.commit()
    with pytest.raises(Refused, match="It is frozen") as frozen:
        verify_certificate.check_status(case.status(), shown, case.keys, clock.now())
    data_certificates.append(number, Step.REVOKED, clock.now(), by=By.HOLDER, vault=vault)
    db.session.commit()
    with pytest.raises(Refused, match="It is revoked") as revoked:
        verify_certificate.check_status(case.status(), shown, case.keys, clock.now())
    assert (frozen.value.status, revoked.value.status) == (1, 1)


WRONG_LISTS: dict[str, tuple[Callable[[Case], bytes], str]] = {
    "nothing": (lambda _case: b"", "does not match"),
    "a certificate": (lambda case: case.whole.encode(), "does not match"),
    "another list": (lambda _case: listed(sub="https://other.example/1"), "another list"),
    "too old": (lambda _case: listed(exp=int(clock.now().timestamp())), "fetch it again"),
    "of the future": (lambda _case: listed(iat=int((clock.now() + DAY).timestamp())), "fetch it again"),
    "too short": (lambda case: listed(sub=case.place["uri"], lst=zlib.compress(b"")), "damaged"),
    "no zlib": (lambda case: listed(sub=case.place["uri"], lst=b"no"), "damaged"),
    "three bits": (lambda case: listed(sub=case.place["uri"], bits=3), "damaged"),
}


def listed(lst: bytes | None = None, bits: int = 2, **changes: Any) -> bytes:
    now = int(clock.now().timestamp())
    content = base64.urlsafe_b64encode(lst or zlib.compress(bytes(1024))).rstrip(b"=").decode()
    claims = {"iat": now, "exp": now + 600, "status_list": {"bits": bits, "lst": content}} | changes
    return jose.sign(claims, ours(), typ=status_lists.TYP).encode()


@pytest.mark.parametrize("name", WRONG_LISTS)
def test_a_list_that_is_none_proves_nothing(name: str, case: Case) -> None:
    make, sentence = WRONG_LISTS[name]
    raw = make(case)
    if name in ("too old", "of the future"):
        claims = jose.unverified_claims(jose.read(raw.decode())) | {"sub": case.place["uri"]}
        raw = jose.sign(claims, ours(), typ=status_lists.TYP).encode()
    with pytest.raises(Refused, match=sentence):
        verify_certificate.check_status(raw, case.check(case.whole), case.keys, clock.now())


def test_a_list_that_unpacks_without_end_is_not_unpacked_whole(case: Case) -> None:
    bomb = listed(sub=case.place["uri"], lst=zlib.compress(bytes(50_000_000), 9))
    verify_certificate.check_status(bomb, case.check(case.whole), case.keys, clock.now())


# Whatever comes


def test_any_changed_byte_is_refused_or_changes_nothing(case: Case) -> None:
    good, raw = case.check(case.whole), case.whole.encode()

    @settings(max_examples=300, deadline=None)
    @given(where=st.integers(min_value=0, max_value=len(raw) - 1), by=st.integers(min_value=1, max_value=255))
    def any_byte(where: int, by: int) -> None:
        changed = bytearray(raw)
        changed[where] ^= by
        try:
            found = verify_certificate.check(bytes(changed), case.keys, clock.now())
        except Refused:
            return
        assert found == good  # white space around it

    any_byte()


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode), st.from_regex(rb".*\..*\..*~.*~")))
def test_anything_else_is_refused_with_a_sentence(raw: bytes) -> None:
    with pytest.raises(Refused):
        verify_certificate.check(raw, {}, dt.datetime.now(dt.UTC))


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """As a person runs it, in a folder where nothing of ours is."""
    return subprocess.run(
        [sys.executable, "-E", "-s", "-X", "utf8", str(PROGRAM), *arguments],
        cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip


def test_as_a_program_from_good_to_frozen(case: Case, tmp_path: Path) -> None:
    (tmp_path / "status.jwt").write_bytes(case.status())
    files = ("certificate.sd-jwt", "--keys", "keys.json", "--status", "status.jwt")
    good = run(*files, "--language", "en", cwd=tmp_path)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.startswith("Genuine and unchanged (")
    assert "Not frozen and not revoked, as of " in good.stdout
    consent = case.bank.consent
    endings.withdraw(consent.consent_id, case.bank.holder, clock.now(), registry=factories.registry())
    db.session.commit()
    (tmp_path / "status.jwt").write_bytes(case.status())
    frozen = run(*files, cwd=tmp_path)
    assert (frozen.returncode, frozen.stdout) == (1, "")
    assert "凭证已冻结" in frozen.stderr
    assert run("none.sd-jwt", "--keys", "keys.json", cwd=tmp_path).returncode == 2
    assert run("certificate.sd-jwt", "--keys", "certificate.sd-jwt", cwd=tmp_path).returncode == 2
    assert "--status" in run("--help", cwd=tmp_path).stdout
    assert json.loads((tmp_path / "keys.json").read_text("utf-8"))["keys"]
