"""The program that checks a whole copy without us: a good one passes, and nothing of it can be changed unnoticed."""

import datetime as dt
import hashlib
import io
import json
import re
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import verify_archive
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from signed import Refused, load_keys

from consent import archives, certificate_issue, data_certificates, endings
from consent.keys import KeyUse
from dataspace import jose
from dataspace.db import db
from dataspace.web.shell import services
from tests import factories
from tests.archived import work
from tests.conftest import ISSUER
from tests.consent.certificate_bank import altered_disclosure
from tests.zips import Contents, opened, packed

pytestmark = pytest.mark.wire  # the programs see files, whatever database they came from

PROGRAM = Path(__file__).parent.parent / "verifier" / "verify_archive.py"


@pytest.fixture
def archive(app: Flask, now: dt.datetime) -> bytes:
    """A copy as its holder downloads it: with two receipts and two certificates, and one that says nothing any more."""
    world, registry = factories.world(now), factories.registry()
    for number in range(3):
        row = certificate_issue.for_holder(
            world.consent.consent_id, "p.edu.degree", world.actor, now, registry=registry
        ).certificate
        row.emptied_after = now if number == 0 else None
    assert data_certificates.empty(now, 10) == 1
    endings.withdraw(world.consent.consent_id, world.actor, now, registry=registry)
    made = archives.ask(world.actor, "zh_Hans", now)
    db.session.commit()
    assert work()
    db.session.refresh(made)
    return b"".join(archives.read(made, now, vault=services().vault))


@pytest.fixture
def keys(archive: bytes, now: dt.datetime, tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(factories.registry().keyring.public_jwk_set(now, purpose=KeyUse.RECORDS)), "utf-8")
    return path


def said(raw: bytes, keys: Path, now: dt.datetime) -> list[str]:
    """What does not match, in English; also when there is nothing that could be compared."""
    path = keys.with_name("archive.zip")
    path.write_bytes(raw)
    try:
        _list, wrong = verify_archive.check(path, load_keys(keys), now)
    except Refused as refused:
        return [refused.sentence["en"]] if refused.status == 1 else []
    assert all(chinese for _english, chinese in wrong)
    return [english for english, _chinese in wrong]


def test_a_good_copy_passes_as_it_is_and_packed_anew(archive: bytes, keys: Path, now: dt.datetime) -> None:
    assert said(archive, keys, now) == []
    assert said(packed(opened(archive)), keys, now) == []


def test_a_changed_byte_of_any_file_is_named(archive: bytes, keys: Path, now: dt.datetime) -> None:
    files = opened(archive)
    for name, content in files.items():
        if not content:
            continue
        middle = len(content) // 2
        changed = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        (found,) = said(packed(files | {name: changed}), keys, now)
        assert found.startswith(name) or (name == "manifest.jws" and "list of files" in found)


def test_any_changed_byte_is_refused_or_changes_nothing(archive: bytes, keys: Path, now: dt.datetime) -> None:
    """Times and permissions of a zip are no content; whatever else is touched is noticed."""
    good = opened(archive)

    @settings(max_examples=300, deadline=None)
    @given(where=st.integers(min_value=0, max_value=len(archive) - 1), by=st.integers(min_value=1, max_value=255))
    def any_byte(where: int, by: int) -> None:
        raw = bytearray(archive)
        raw[where] ^= by
        if not said(bytes(raw), keys, now):
            assert opened(bytes(raw)) == good

    any_byte()


@settings(max_examples=100, deadline=None)
@given(raw=st.one_of(st.binary(max_size=300), st.binary(max_size=100).map(lambda more: b"PK\x05\x06" + more)))
def test_anything_else_is_refused_with_a_sentence(raw: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "something.zip"
    path.write_bytes(raw)
    with pytest.raises(Refused):
        verify_archive.check(path, {}, dt.datetime.now(dt.UTC))


def without(name: str) -> Callable[[Contents], Contents]:
    return lambda files: {n: c for n, c in files.items() if n != name}


def plus(name: str, content: bytes = b"more") -> Callable[[Contents], Contents]:
    return lambda files: files | {name: content}


def swapped(files: Contents) -> Contents:
    """Each receipt under the name of the other."""
    first, second = (name for name in files if "/receipts/" in name)
    return files | {first: files[second], second: files[first]}


CHANGES = {
    "missing": (without("reads/reads.json"), ["reads/reads.json is missing."]),
    "no list": (without("manifest.json"), ["manifest.json is missing."]),
    "no signature": (without("manifest.jws"), ["The signed list of files (manifest.jws) is missing or damaged."]),
    "no sums": (without("SHA256SUMS"), ["SHA256SUMS is missing."]),
    "added": (plus("data/more.json"), ["data/more.json does not belong to it."]),
    "climbs": (plus("../../.bashrc"), ["../../.bashrc does not belong to it, and would land outside the folder."]),
    "absolute": (plus("/etc/passwd"), ["/etc/passwd does not belong to it, and would land outside the folder."]),
    "other slashes": (plus("..\\x"), ["..\\\\x does not belong to it, and would land outside the folder."]),
    "a drive": (plus("C:x"), ["C:x does not belong to it, and would land outside the folder."]),
    "a folder": (plus("empty/", b""), ["empty/ does not belong to it."]),
    "a terminal's orders": (plus("a\x1b[2J"), ["a\\x1b[2J does not belong to it."]),
    "swapped": (swapped, ["was changed.", "was changed."]),
    "a bomb": (plus("cases/cases.json", b"0" * 50_000_000), ["cases/cases.json was changed."]),
    "a list that is a bomb": (plus("manifest.jws", b"e30." * 17_000_000), ["is missing or damaged."]),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_does_not_match_is_said(what: str, archive: bytes, keys: Path, now: dt.datetime) -> None:
    change, sentences = CHANGES[what]
    found = said(packed(change(opened(archive))), keys, now)
    assert len(found) == len(sentences)
    assert all(sentence in one for sentence, one in zip(sentences, found, strict=True)), found


def test_everything_that_does_not_match_is_said_at_once(archive: bytes, keys: Path, now: dt.datetime) -> None:
    files = without("README.txt")(plus("x")(opened(archive))) | {"reads.csv": b"", "data/items.json": b"[]"}
    assert said(packed(files), keys, now) == [
        "README.txt is missing.", "x does not belong to it.", "data/items.json was changed.", "reads.csv was changed.",
    ]  # fmt: skip


def test_a_file_that_is_there_twice_is_named(archive: bytes, keys: Path, now: dt.datetime) -> None:
    spool = io.BytesIO(packed(opened(archive)))
    with zipfile.ZipFile(spool, "a") as file, pytest.warns(UserWarning, match="Duplicate"):
        file.writestr("reads.csv", b"another")
    assert said(spool.getvalue(), keys, now) == ["reads.csv is there more than once.", "reads.csv was changed."]


def test_what_lies_between_the_files_is_found(archive: bytes, keys: Path, now: dt.datetime) -> None:
    """A program that reads a zip from its beginning would see a file that one that reads its directory does not."""
    good = packed(opened(archive))
    hidden = packed({"hidden.txt": b"hidden"})
    local = hidden[: hidden.index(b"PK\x01\x02")]
    assert said(local + good, keys, now) == ["Something lies hidden between the files."]
    directory = struct.unpack("<I", good[-6:-2])[0]
    moved = good[:directory] + local + good[directory:-6] + struct.pack("<I", directory + len(local)) + good[-2:]
    assert said(moved, keys, now) == ["Something lies hidden between the files."]


def test_keys_of_another_service_do_not_fit(archive: bytes, keys: Path, now: dt.datetime) -> None:
    known = json.loads(keys.read_text("utf-8"))["keys"]
    another = jose.public_jwk(jose.generate_key("ES256"), kid=known[0]["kid"], alg="ES256")
    keys.write_text(json.dumps({"keys": [another]}), "utf-8")
    assert "signature of the list of files does not match" in said(archive, keys, now)[0]
    keys.write_text(json.dumps({"keys": [another | {"kid": "unknown"}]}), "utf-8")
    assert "not in the key file" in said(archive, keys, now)[0]


def signed_anew(held: Contents, now: dt.datetime, **changes: object) -> bytes:
    """The list signed by us again, after a change: what only a broken service would do."""
    payload = jose.canonical(json.loads(held["manifest.json"]) | changes)
    key = factories.registry().keyring.signing_key(KeyUse.RECORDS, now)
    token = jose.sign_bytes(payload, key, typ=archives.TYP).encode()
    return packed(held | {"manifest.json": payload, "manifest.jws": token})


def test_signed_contradictions_are_found(archive: bytes, keys: Path, now: dt.datetime) -> None:
    files = opened(archive)
    assert "newer verifier" in said(signed_anew(files, now, schema="gd-dsa-archive/2"), keys, now)[0]
    assert "of the future" in said(signed_anew(files, now, made_at="2099-01-01T00:00:00Z"), keys, now)[0]
    listed = json.loads(files["manifest.json"])["files"]
    receipt = next(name for name in files if "/receipts/" in name)
    listed |= {receipt: listed["reads.csv"]}
    sums = "".join(f"{one['sha256']}  {name}\n" for name, one in listed.items()).encode()
    wrong = files | {receipt: files["reads.csv"], "SHA256SUMS": sums}
    (found,) = said(signed_anew(wrong, now, files=listed), keys, now)
    assert found == f"{receipt}: The file is damaged, or is no receipt."


def test_certificates_hold_by_themselves_and_their_lives_are_theirs(
    archive: bytes, keys: Path, now: dt.datetime
) -> None:
    files = opened(archive)
    first, second = (name for name in files if name.endswith(".sd-jwt"))
    lives = [
        n for n in files if n.startswith("certificates/") and n.endswith(".json") and n != "certificates/keys.json"
    ]
    told = [json.loads(files[name]) for name in lives]
    assert [one["file"] for one in told].count(None) == 1
    assert [[step["kind"] for step in one["steps"]] for one in told] == [
        ["certificate:generated", "certificate:stored", "certificate:frozen"]
    ] * 3
    life = f"{first.removesuffix('.sd-jwt')}.json"

    def found(**changed: bytes) -> list[str]:
        """After a change to a file, signed again."""
        held = files | changed
        listed = json.loads(files["manifest.json"])["files"]
        listed |= {n: {"sha256": hashlib.sha256(c).hexdigest(), "size": len(c)} for n, c in changed.items()}
        sums = "".join(f"{one['sha256']}  {name}\n" for name, one in listed.items()).encode()
        return said(signed_anew(held | {"SHA256SUMS": sums}, now, files=listed), keys, now)

    assert found() == []
    assert said(archive, keys, now + dt.timedelta(days=900)) == []  # their time is over, and they are genuine
    assert found(**{first: files[second]}) == [f"{first} is not the certificate that {life} tells of."]
    (altered,) = found(**{first: altered_disclosure(files[first].decode()).encode()})
    assert altered.startswith(f"{first}: What is shown does not match the signature")
    untold = json.dumps(json.loads(files[life]) | {"file": None}).encode()
    assert found(**{life: untold}) == [f"{first}: nothing tells of its life."]
    assert f"{life} is no life of a certificate." in found(**{life: b"[]"})
    assert found(**{"certificates/keys.json": b"{}"}) == ["certificates/keys.json is no set of keys."]


def test_as_a_program(archive: bytes, keys: Path, tmp_path: Path) -> None:
    (tmp_path / "archive.zip").write_bytes(archive)
    (tmp_path / "bad.zip").write_bytes(packed(plus("x")(opened(archive))))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-E", "-s", "-X", "utf8", str(PROGRAM), *arguments],
            cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False,
        )  # fmt: skip

    good = run("archive.zip", "--keys", "keys.json", "--language", "en")
    assert (good.returncode, good.stderr) == (0, "")
    assert good.stdout.startswith("Genuine, whole and unchanged: ")
    assert "2 of them receipts" in good.stdout
    assert "Certificates: 2\n" in good.stdout
    bad = run("bad.zip", "--keys", "keys.json")
    assert (bad.returncode, bad.stdout, bad.stderr) == (1, "", "x 不属于这份副本。\n")
    assert run("none.zip", "--keys", "keys.json").returncode == 2
    assert run("archive.zip", "--keys", "archive.zip").returncode == 2
    assert "Exit status: 0" in run("--help").stdout


@pytest.mark.parametrize("name", sorted(path.name for path in PROGRAM.parent.glob("*.py")))
def test_anybody_fetches_the_programs(app: Flask, name: str) -> None:
    answer = app.test_client().get(f"/receipts/programs/{name}")
    assert answer.status_code == 200
    assert answer.data == PROGRAM.with_name(name).read_bytes()
    assert answer.headers["Content-Disposition"] == f'attachment; filename="{name}"'


@pytest.mark.parametrize("name", ["wsgi.py", "..%2Fwsgi.py", "%2Fetc%2Fpasswd", "verify_receipt.pyc"])
def test_and_nothing_else(app: Flask, name: str) -> None:
    assert app.test_client().get(f"/receipts/programs/{name}").status_code == 404


def test_all_of_them_run_from_one_file(app: Flask, archive: bytes, keys: Path, tmp_path: Path) -> None:
    """In isolated mode, from a folder where nothing of ours is."""
    (tmp_path / "archive.zip").write_bytes(archive)
    (tmp_path / "verifier.pyz").write_bytes(app.test_client().get("/receipts/programs/verifier.pyz").data)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-I", "-X", "utf8", "verifier.pyz", *arguments],
            cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", timeout=60, check=False,
        )  # fmt: skip

    guide = opened(archive)["README.txt"].decode()
    assert f"{ISSUER}/receipts/programs/verifier.pyz\n" in guide
    (command,) = re.findall(r"^ *python verifier\.pyz (archive .+)$", guide, flags=re.MULTILINE)
    _what, copy, *rest = command.split()
    assert run("archive", copy.replace("副本", "archive"), *rest).returncode == 0  # as the guide in the copy says
    helped = run("--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    for path in sorted(PROGRAM.parent.glob("verify_*.py")):
        what = path.stem.removeprefix("verify_")
        assert f"  {what} " in helped.stdout
    assert "usage: verifier receipt" in run("receipt", "--help").stdout
    assert run("nonsense").returncode == run().returncode == 2
