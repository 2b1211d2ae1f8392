"""The program that checks receipts without us: it knows good ones of every kind, and no altered one passes."""

import ast
import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import verify_receipt
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from signed import Refused, load_keys

from consent import amendments, endings, lifecycle, pauses, receipts
from consent.documents import Choices
from consent.receipts import Signed
from consent.records import Consent
from dataspace import jose
from tests import factories
from tests.consent.test_records import company_world

pytestmark = pytest.mark.wire  # the programs see files, whatever database they came from

ROOT = Path(__file__).parent.parent
PROGRAM = ROOT / "verifier" / "verify_receipt.py"
DAY = dt.timedelta(days=1)


def stopped(now: dt.datetime) -> Consent:
    """Given, replaced, stopped, and asked to be deleted."""
    world, registry = factories.world(now), factories.registry()
    choices = Choices(items=("p.edu.degree",), duration_days=7)
    asked, shown = factories.ask(world.purpose, now), factories.shown(now)
    lifecycle.replace(world.consent.consent_id, asked, choices, world.actor, shown, now, registry=registry)
    endings.withdraw(world.consent.consent_id, world.actor, now, ask_deletion=True, registry=registry)
    return world.consent


def refused(now: dt.datetime) -> Consent:
    world = factories.world(now)
    asked, shown = factories.ask(world.purpose, now), factories.shown(now)
    return lifecycle.refuse(asked, world.actor, shown, now, registry=factories.registry())


def revoked(now: dt.datetime) -> Consent:
    world = factories.world(now)
    admin = factories.supervisor(factories.administrator(now), now)
    return endings.revoke(
        world.consent.consent_id, admin, now, reason_code="fraud", text="查实冒用", registry=factories.registry()
    )


def approved(now: dt.datetime) -> Consent:
    consent, _first, second = company_world(now)
    return lifecycle.approve(consent.consent_id, second, now, registry=factories.registry())


def rejected(now: dt.datetime) -> Consent:
    consent, _first, second = company_world(now)
    return lifecycle.reject(consent.consent_id, second, now, registry=factories.registry())


def expired(now: dt.datetime) -> Consent:
    world = factories.world(now)
    endings.sweep(now + 91 * DAY, registry=factories.registry())
    return world.consent


def amended(now: dt.datetime) -> Consent:
    """Less of it, nearer its end, resting, resumed."""
    person, items = factories.holder(now), [factories.item(now, i) for i in ("p.edu.degree", "p.work.skill")]
    factories.party(now)
    row = factories.purpose(now, required=items[:1], optional=items[1:])
    by, registry = factories.actor(person, now), factories.registry()
    consent = factories.consent(factories.ask(row, now), by, now)
    amendments.withdraw_item(consent.consent_id, "p.work.skill", by, now, registry=registry)
    amendments.shorten(consent.consent_id, now + 7 * DAY, by, now, registry=registry)
    pauses.pause(consent.consent_id, by, now, registry=registry)
    return pauses.resume(consent.consent_id, by, now, registry=registry)


KINDS: dict[Callable[[dt.datetime], Consent], list[str]] = {
    stopped: ["given", "replaced", "withdrawn", "deletion_requested"],
    refused: ["refused"],
    revoked: ["given", "invalidated"],
    approved: ["co_approval_pending", "co_approved"],
    rejected: ["co_approval_pending", "co_rejected"],
    amended: ["given", "item_withdrawn", "shortened", "paused", "resumed"],
    expired: ["given", "expired"],
}


def signed(consent: Consent) -> list[Signed]:
    vault = factories.registry().vault
    return [receipts.signed(r, vault=vault) for r in reversed(receipts.of_consent(consent.consent_id))]


@pytest.fixture
def keys(app: Flask, now: dt.datetime, tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(factories.registry().keyring.public_jwk_set(now)), "utf-8")
    return path


def test_what_a_change_has_changed_is_said(keys: Path, now: dt.datetime) -> None:
    known, lines = load_keys(keys), {}
    for receipt in signed(amended(now)):
        content = verify_receipt.check(receipt.file, known, now)
        lines[content["kind"]] = [
            line.strip()
            for language in ("en", "zh")
            for line in verify_receipt.describe(content, language, now)
            if line.strip().startswith(("Changed:", "变更:"))
        ]
    ends = [(now + days * DAY).strftime("%Y-%m-%dT%H:%M:%SZ") for days in (30, 7)]
    values = f"({ends[0]} → {ends[1]})"
    assert lines == {
        "given": [], "paused": [], "resumed": [],
        "item_withdrawn": [
            "Changed: a data item: Item p.work.skill: no longer given",
            "变更: 数据项：数据 p.work.skill: 不再提供",
        ],
        "shortened": [
            f"Changed: how long and how often it may be read: shorter {values}",
            f"变更: 读取的期限和次数: 变短 {values}",
        ],
    }  # fmt: skip


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_good_receipts_of_every_kind_hold_in_both_forms(
    make: Callable[[dt.datetime], Consent], keys: Path, now: dt.datetime
) -> None:
    found, known = signed(make(now)), load_keys(keys)
    now += 100 * DAY
    for receipt in found:
        content = verify_receipt.check(receipt.file, known, now)
        assert content == receipt.content == verify_receipt.check(f"{receipt.compact}\n".encode(), known, now)
        told = {language: verify_receipt.describe(content, language, now) for language in ("zh", "en")}
        assert any(content["words"]["what"]["zh_hans"] in line for line in told["zh"])
        assert any("Lingnan Example Bank" in line for line in told["en"])
    assert [receipt.content["kind"] for receipt in found] == KINDS[make]


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The paths of everything in a document that holds nothing further."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [leaf for name, inner in members for leaf in leaves(inner, (*path, name))]
    yield from below or [path]


def altered(content: dict[str, Any], path: tuple[str | int, ...]) -> dict[str, Any]:
    """The same document with one value changed into another of its kind."""
    changed: Any = json.loads(json.dumps(content))
    *way, last = path
    place = changed
    for name in way:
        place = place[name]
    value = place[last]
    place[last] = value + 1 if isinstance(value, int) else f"{value}." if isinstance(value, str) else "something"
    return dict(changed)


def test_every_altered_field_fails_and_is_named(keys: Path, now: dt.datetime) -> None:
    (receipt,), known = signed(refused(now)), load_keys(keys)
    for path in leaves(receipt.content):
        content = altered(receipt.content, path)
        file = jose.canonical({"receipt": content, "signature": receipt.signature, "evidence": None})
        with pytest.raises(Refused) as caught:
            verify_receipt.check(file, known, now)
        assert caught.value.status == 1
        assert "does not match: " in caught.value.sentence["en"], path
        assert "不符的内容：" in caught.value.sentence["zh"], path


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (("consent", "use", "expires_at"), "how long and how often it may be read"),
        (("consent", "purpose", "text", "zh_hans"), "what for"),
        (("consent", "items", 0, "chosen"), "a data item: Item p.edu.degree"),
        (("consent", "recipient", "uscc"), "who receives the data"),
        (("notice", "text"), "the text as it was shown"),
        (("status",), "its number, date or state"),
        (("consent", "request", "given_days"), "a part of the consent (request)"),
    ],
)
def test_what_was_altered_is_said_in_words(
    path: tuple[str | int, ...], named: str, keys: Path, now: dt.datetime
) -> None:
    (receipt,) = signed(refused(now))
    content = altered(receipt.content, path)
    file = jose.canonical({"receipt": content, "signature": receipt.signature, "evidence": None})
    with pytest.raises(Refused) as caught:
        verify_receipt.check(file, load_keys(keys), now)
    assert caught.value.sentence["en"].endswith(f" What does not match: {named}.")


def test_any_changed_byte_is_refused(keys: Path, now: dt.datetime) -> None:
    (receipt,), known = signed(refused(now)), load_keys(keys)

    @settings(max_examples=300, deadline=None)
    @given(
        form=st.sampled_from([receipt.file, receipt.compact.encode()]), where=st.integers(min_value=0), by=st.binary()
    )
    def any_byte(form: bytes, where: int, by: bytes) -> None:
        raw = bytearray(form)
        raw[where % len(raw)] ^= by[0] if by and by[0] else 1
        with pytest.raises(Refused) as caught:
            verify_receipt.check(bytes(raw), known, now)
        assert caught.value.status == 1

    any_byte()


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode), st.from_regex(rb"\{.*\}|.*\..*\..*")))
def test_anything_else_is_refused_with_a_sentence(raw: bytes) -> None:
    with pytest.raises(Refused):
        verify_receipt.check(raw, {}, dt.datetime.now(dt.UTC))


@pytest.mark.parametrize(
    "raw", [b"[" * 200_000, b'{"receipt":' + b"[" * 200_000, b"a" * (verify_receipt.MAX_BYTES + 1), b"e30.e30.e30"]
)
def test_what_is_too_deep_or_too_large_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused):
        verify_receipt.check(raw, {}, dt.datetime.now(dt.UTC))


def test_a_file_saved_anew_is_told_from_an_altered_one(keys: Path, now: dt.datetime) -> None:
    (receipt,) = signed(refused(now))
    pretty = json.dumps(json.loads(receipt.file), indent=2, ensure_ascii=False).encode()
    with pytest.raises(Refused, match="saved anew"):
        verify_receipt.check(pretty, load_keys(keys), now)


def test_a_receipt_of_the_future_and_one_of_another_service_are_refused(keys: Path, now: dt.datetime) -> None:
    (receipt,), known = signed(refused(now)), load_keys(keys)
    with pytest.raises(Refused, match="dates"):
        verify_receipt.check(receipt.file, known, now - DAY)
    stranger = jose.SigningKey(kid=next(iter(known)), alg="ES256", private_key=jose.generate_key("ES256"))
    forged = Signed.sign(receipt.content, stranger)
    with pytest.raises(Refused, match="The signature does not match"):
        verify_receipt.check(forged.file, known, now)
    with pytest.raises(Refused, match="not in the key file"):
        verify_receipt.check(receipt.file, {}, now)


def test_signed_contradictions_are_found(keys: Path, now: dt.datetime) -> None:
    (receipt,), known = signed(refused(now)), load_keys(keys)
    ours = factories.registry().keyring.signing_key("records", now)
    for path, named in (
        (("consent_digest",), "consent"),
        (("notice", "text"), "text as shown"),
        (("event", "seq"), "ev"),
    ):
        content = altered(receipt.content, path)
        content["digests"] = {name: jose.digest(part) for name, part in receipts.parts(content).items()}
        with pytest.raises(Refused, match=f"contradicts itself: {named}"):
            verify_receipt.check(Signed.sign(content, ours).file, known, now)
    with pytest.raises(Refused, match="newer verifier"):
        verify_receipt.check(Signed.sign(altered(receipt.content, ("schema",)), ours).file, known, now)


PROGRAMS = sorted((ROOT / "verifier").glob("*.py"))


def test_no_program_shares_anything_with_the_service() -> None:
    found = set()
    for program in PROGRAMS:
        for node in ast.walk(ast.parse(program.read_text("utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or "."] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
                found |= {name.split(".")[0] for name in names}
    own = {program.stem for program in PROGRAMS}
    assert found - set(sys.stdlib_module_names) - own == {"cryptography"}


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """As a person runs it, in a folder where nothing of ours is."""
    return subprocess.run(
        [sys.executable, "-E", "-s", "-X", "utf8", str(PROGRAM), *arguments],
        cwd=cwd, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip


def test_as_a_program(keys: Path, now: dt.datetime, tmp_path: Path) -> None:
    (receipt,) = signed(refused(now))
    (tmp_path / "receipt.json").write_bytes(receipt.file)
    good = run("receipt.json", "--keys", "keys.json", "--language", "en", "--text", cwd=tmp_path)
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.startswith("Genuine and unchanged (")
    assert "You refused this request. Nothing was given." in good.stdout
    assert receipt.content["notice"]["text"] in good.stdout
    print(good.stdout.splitlines()[0])
    (tmp_path / "altered.json").write_bytes(receipt.file.replace(b"LN-2026-0001", b"LN-2026-0002"))
    bad = run("altered.json", "--keys", "keys.json", cwd=tmp_path)
    assert (bad.returncode, bad.stdout) == (1, "")
    assert "不符的内容：用途" in bad.stderr
    for arguments in (("none.json", "--keys", "keys.json"), ("receipt.json", "--keys", "receipt.json")):
        missing = run(*arguments, cwd=tmp_path)
        assert (missing.returncode, missing.stdout) == (2, "")
        assert "Traceback" not in missing.stderr
    helped = run("--help", cwd=tmp_path)
    assert helped.returncode == 0
    assert "Exit status: 0" in helped.stdout
