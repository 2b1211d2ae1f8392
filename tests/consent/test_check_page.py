"""The page where anybody has checked what they hold: in plain words, without signing in, and nothing is kept."""

import base64
import datetime as dt
import io
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import verify_receipt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from signed import Refused

from consent import evidence, notes, receipt_check, receipts, worker
from consent.keys import KeyUse
from consent.notes import COSIGNATURE, Checkpoint, Note, Signer
from consent.receipt_check import Verdict
from consent.receipts import Signed
from dataspace import clock, jose
from dataspace.db import db
from tests import factories
from tests.conftest import make_settings
from tests.consent.receipted import Scene
from tests.consent.visitor import Page, Visitor
from wsgi import create_app


@pytest.fixture
def scene(client: FlaskClient, now: dt.datetime) -> Scene:
    return Scene.made(client, now)


def brought(visitor: Visitor, raw: bytes) -> Page:
    """A file is chosen and sent."""
    visitor.get("/check")
    return visitor.tap("Check it", file=(io.BytesIO(raw), "receipt.json"))


def with_changed(signed: Signed, *path: str | int, value: Any) -> bytes:
    """The readable file with one value changed, in its canonical form."""
    whole = json.loads(signed.file)
    place = whole["receipt"]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return jose.canonical(whole)


def test_anybody_checks_a_genuine_one_in_either_form(scene: Scene, app: Flask) -> None:
    anybody = Visitor(app.test_client())
    for raw in (scene.signed.file, scene.signed.compact.encode(), scene.signed.file + b"\r\n"):
        page = brought(anybody, raw)
        assert "Genuine" in page.says
        assert "You agreed" in page.says
        assert "Review this loan application" in page.says
    anybody.get("/check")
    assert "Genuine" in anybody.tap("Check it", pasted=scene.signed.file.decode()).says


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("consent", "use", "expires_at"), "2099-01-01T00:00:00Z", "how long and how often it may be read"),
        (("consent", "items", 0, "chosen"), False, "the data item “Item p.edu.degree”"),
        (("consent", "items", 0, "label"), {"zh_hans": "<b>x</b>"}, "the data item “&lt;b&gt;x&lt;/b&gt;”"),
        (("consent", "items", 0), "no item", "the data item “?”"),
        (("notice", "text"), "another text", "the text as it was shown"),
        (("consent", "scope"), ["more"], "another part of the authorization"),
        (("status",), "withdrawn", "number, date or state of the receipt"),
    ],
)
def test_an_altered_one_is_told_and_the_part_is_named(
    scene: Scene, path: tuple[str | int, ...], value: Any, named: str
) -> None:
    page = brought(scene.visitor, with_changed(scene.signed, *path, value=value))
    assert page.status == 200
    assert "The signature does not fit." in page.says
    assert named in page.html
    assert "Genuine" not in page.says


def test_one_of_another_service_a_resaved_one_and_rubbish_are_told_apart(scene: Scene) -> None:
    foreign = jose.SigningKey(kid="theirs", alg="ES256", private_key=jose.generate_key("ES256"))
    cases = {
        Signed.sign(scene.signed.content, foreign).file: "It is signed, but not by us.",
        json.dumps(json.loads(scene.signed.file), indent=1).encode(): "The file was saved anew in another form",
        scene.signed.file.replace(b'"evidence":null', b'"more":null'): "This is no receipt",
        b"%PDF-1.3 \xff\xfe": "This is no receipt",
        b"": "This is no receipt",
    }
    for raw, said in cases.items():
        page = brought(scene.visitor, raw)
        assert (page.status, said in page.says, "Genuine" in page.says) == (200, True, False), said


def test_the_signature_of_a_token_of_ours_is_no_receipt(scene: Scene) -> None:
    now, ring = clock.now(), factories.registry().keyring
    token = jose.sign({"schema": receipts.SCHEMA}, ring.signing_key(KeyUse.TOKENS, now), typ=receipts.TYP)
    assert receipt_check.check(token.encode(), now, keyring=ring).verdict == Verdict.FOREIGN
    other_type = jose.sign({"schema": receipts.SCHEMA}, ring.signing_key(KeyUse.RECORDS, now), typ="dsa-consent+json")
    assert receipt_check.check(other_type.encode(), now, keyring=ring).verdict == Verdict.ALTERED


def test_checking_tells_nothing_that_was_not_brought(scene: Scene) -> None:
    """Who has only the number cannot try out what the receipt says: a number of nothing has the same answer."""
    signature = scene.signed.signature

    def answered(receipt_id: str, text: str) -> str:
        guess = {"receipt_id": receipt_id, "consent": {"items": []}, "notice": {"text": text}, "digests": {}}
        raw = jose.canonical({"receipt": guess, "signature": signature, "evidence": None})
        return brought(scene.visitor, raw).says

    right = factories.shown(scene.now).text
    answers = {
        answered(receipt_id, text) for receipt_id in (scene.row.receipt_id, "rcp_0") for text in (right, "wrong")
    }
    assert len(answers) == 1


def test_the_code_on_paper_says_whether_there_is_such_a_receipt(scene: Scene, app: Flask) -> None:
    anybody, number, digest = Visitor(app.test_client()), scene.row.receipt_id, scene.row.digest
    there = anybody.get(f"/check?receipt={number}&digest={digest}")
    assert "was issued here. Whether the paper says the same" in there.says
    assert "Lingnan" not in there.says
    for query in (f"receipt={number}&digest={'0' * 64}", f"receipt=rcp_0&digest={digest}", "receipt=%00&digest=%ff"):
        page = anybody.get(f"/check?{query}")
        assert (page.status, "No receipt with this number" in page.says) == (200, True)
    assert "number and fingerprint" not in anybody.get("/check").says


def test_what_is_too_large_is_refused(scene: Scene) -> None:
    assert "This is no receipt" in brought(scene.visitor, b"{" + b" " * receipt_check.MAX_BYTES).says
    assert brought(scene.visitor, b"a" * 400_000).status == 413


def test_who_checks_too_often_is_slowed_down(database_url: str) -> None:
    limited = create_app(make_settings(database_url, rate_limits=True))
    http = limited.test_client()
    token = re.search(r'name="csrf_token" value="([^"]+)"', http.get("/check").text)
    assert token
    form = {"csrf_token": token[1], "pasted": "no receipt"}
    assert [http.post("/check", data=form).status_code for _ in range(31)] == [200] * 30 + [429]
    guess = f"/check?receipt=rcp_0&digest={'0' * 64}"
    assert {http.get(guess).status_code for _ in range(59)} == {200}
    assert http.get(guess).status_code == 429
    with limited.app_context():
        db.engine.dispose()


def test_checking_never_fails(app: Flask, now: dt.datetime) -> None:
    world, registry = factories.world(now), factories.registry()
    row = receipts.latest(world.consent.consent_id)
    assert row is not None
    good = receipts.signed(row, vault=registry.vault)

    @settings(max_examples=200, deadline=None)
    @given(
        st.one_of(
            st.binary(max_size=300),
            st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")),
            st.tuples(st.integers(0, len(good.file) - 1), st.integers(1, 255)).map(
                lambda at: good.file[: at[0]] + bytes([good.file[at[0]] ^ at[1]]) + good.file[at[0] + 1 :]
            ),
            st.sampled_from([b'{"receipt":' + b"[" * 90_000, b"[" * 190_000, b'{"signature":1}', b"e30.e30.e30"]),
        )
    )
    def any_bytes(raw: bytes) -> None:
        assert receipt_check.check(raw, now, keyring=registry.keyring).verdict != Verdict.GENUINE

    any_bytes()


# The proof from the log


def downloaded(scene: Scene) -> bytes:
    """The signed file, after the log has taken in what waits."""
    worker.sequence(clock.now(), registry=factories.registry(), files=None)
    return scene.visitor.send("GET", f"{scene.path}/receipt.json").data


def test_a_receipt_brings_its_proof(scene: Scene, app: Flask) -> None:
    young = scene.visitor.send("GET", f"{scene.path}/receipt.json").data
    assert json.loads(young)["evidence"] is None
    anybody = Visitor(app.test_client())
    assert "It comes into the public log within seconds." in brought(anybody, young).says
    file = downloaded(scene)
    place = evidence.proof_of(scene.row.entry).index  # type: ignore[arg-type]
    page = brought(anybody, file)
    assert f"It is entry {place} of our public log" in page.says
    assert "Genuine" in page.says
    assert "Our public log has it. Download the signed file again" in brought(anybody, young).says
    scene.row.salt = None
    db.session.commit()
    assert "It carries no proof from the public log, and we have none" in brought(anybody, young).says


def test_a_pdf_carries_the_signed_file(scene: Scene, app: Flask, tmp_path: Path) -> None:
    file = downloaded(scene)
    paper = scene.visitor.send("GET", f"{scene.path}/receipt.pdf").data
    page = brought(Visitor(app.test_client()), paper)
    for said in ("The file inside this PDF is from here", "of our public log", "Review this loan application"):
        assert said in page.says
    assert verify_receipt.carried(paper) == file
    (tmp_path / "receipt.pdf").write_bytes(paper)
    (tmp_path / "keys.json").write_bytes(scene.visitor.send("GET", "/receipts/keys").data)
    options = ["--keys", str(tmp_path / "keys.json"), "--log-key", evidence.head().verifier]
    assert verify_receipt.main([str(tmp_path / "receipt.pdf"), *options]) == 0


def test_papers_that_are_not_ours_are_unreadable(scene: Scene) -> None:
    paper = scene.visitor.send("GET", f"{scene.path}/receipt.pdf").data
    begins = paper.index(b"/Type /EmbeddedFile")
    bomb = b"%PDF-1.4\n<</Type /EmbeddedFile>>\nstream\n" + zlib.compress(b"[" * 50_000_000)
    for raw in (paper + paper[begins:], paper[:begins] + paper[begins + 19 :], paper[: begins + 300], bomb):
        assert "This is no receipt" in brought(scene.visitor, raw).says
        with pytest.raises(Refused):
            verify_receipt.take_apart(raw)


def proof_of(file: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file)["evidence"]
    return found


def stated(name: str, value: Any) -> Callable[[dict[str, Any]], Any]:
    """The same with another word in the statement."""
    return lambda proof: proof | {"statement": proof["statement"] | {name: value}}


def line_is(number: int, line: str) -> Callable[[dict[str, Any]], Any]:
    return with_line(number, lambda _line: line)


def with_line(number: int, change: Callable[[str], str]) -> Callable[[dict[str, Any]], Any]:
    """The same with another line in the proof."""

    def changed(proof: dict[str, Any]) -> dict[str, Any]:
        lines = proof["proof"].split("\n")
        lines[number] = change(lines[number])
        return proof | {"proof": "\n".join(lines)}

    return changed


def flipped(line: str) -> str:
    """Another value in base64, behind the name in the line."""
    before, _space, last = line.rpartition(" ")
    raw = bytearray(base64.b64decode(last))
    raw[-1] ^= 1
    return f"{before} {base64.b64encode(raw).decode()}".lstrip()


def by_another_log(proof: dict[str, Any]) -> dict[str, Any]:
    above, _blank, note = proof["proof"].partition("\n\n")
    ours = Checkpoint.parse(Note.parse(note.encode()).text)
    signer = Signer(name="elsewhere/log", private=Ed25519PrivateKey.generate())
    theirs = notes.sign(Checkpoint(origin="elsewhere/log", size=ours.size, root=ours.root), signer)
    return proof | {"proof": f"{above}\n\n{bytes(theirs).decode()}"}


CHANGED, OTHER, LOG = "does not lead to the entry in the log", "the proof of something else", "from another log"
HEAD, PATH, NONE = "signature on the head of the log", "lead from the entry to the head", "cannot be read as a proof"
# What is done to the proof; what the page says, and what the program says.
BROKEN: dict[str, tuple[Callable[[dict[str, Any]], Any], str, str]] = {
    "another receipt in the statement": (stated("receipt_id", "rcp_0"), CHANGED, "do not lead to the entry"),
    "another time in the statement": (stated("at", "2020-01-01T00:00:00Z"), CHANGED, "do not lead to the entry"),
    "another salt": (lambda p: p | {"salt": "00" * 16}, CHANGED, "do not lead to the entry"),
    "another entry": (lambda p: p | {"entry": "00" * 32}, CHANGED, "do not lead to the entry"),
    "another log": (by_another_log, LOG, "of another log: elsewhere/log"),
    "another signature": (with_line(-2, flipped), HEAD, "signature of the checkpoint does not match"),
    "another size": (with_line(-5, lambda line: line + "0"), HEAD, "signature of the checkpoint does not match"),
    "another root": (with_line(-4, flipped), HEAD, "signature of the checkpoint does not match"),
    "another hash": (with_line(2, flipped), PATH, "does not lead from the entry"),
    "another index": (with_line(1, lambda line: f"{line[:-1]}{1 - int(line[-1]) % 2}"), PATH, "does not lead from"),
    "beyond the log": (line_is(1, "index 9000000000000000000"), PATH, "lies beyond the log"),
    "a number of 5000 digits": (line_is(1, f"index {'9' * 5000}"), NONE, "The file is no proof."),
    "no first line": (line_is(0, "x"), NONE, "The file is no proof."),
    "no base64": (line_is(2, "%%"), NONE, "is not base64"),
    "no checkpoint": (lambda p: p | {"proof": p["proof"].partition("\n\n")[0]}, NONE, "checkpoint is not whole"),
    "no text": (lambda p: p | {"proof": None}, NONE, "is said to be the proof"),
    "no hex": (lambda p: p | {"salt": "zz"}, NONE, "is said to be the proof"),
    "more beside it": (lambda p: p | {"more": 1}, NONE, "is said to be the proof"),
    "nothing of it": (lambda _: {}, NONE, "is said to be the proof"),
    "something else": (lambda _: True, NONE, "is said to be the proof"),
}


def test_a_proof_that_does_not_match_is_said_in_a_sentence(scene: Scene, app: Flask, tmp_path: Path) -> None:
    """On the page and by the program; the receipt itself is still said to be genuine."""
    file, anybody, log_key = downloaded(scene), Visitor(app.test_client()), evidence.head().verifier
    keys = tmp_path / "keys.json"
    keys.write_bytes(scene.visitor.send("GET", "/receipts/keys").data)
    for name, (change, on_page, by_program) in BROKEN.items():
        raw = jose.canonical(json.loads(file) | {"evidence": change(proof_of(file))})
        page = brought(anybody, raw)
        assert ("Genuine" in page.says, "of our public log" in page.says) == (True, False), name
        assert "The proof does not match" in page.says, name
        assert on_page in page.says, name
        with pytest.raises(Refused) as caught:
            verify_receipt.check_in_log(verify_receipt.take_apart(raw), json.loads(raw)["evidence"], log_key)
        assert by_program in caught.value.sentence["en"], name
        assert caught.value.status == 1, name


def test_a_proof_under_a_cosigned_checkpoint_is_checked_in_both_ways(
    scene: Scene, app: Flask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = downloaded(scene)
    proof = proof_of(file)
    text = Note.parse(proof["proof"].partition("\n\n")[2].encode()).text
    signer = Signer(name="witness", private=Ed25519PrivateKey.generate(), kind=COSIGNATURE)
    cosigned = proof | {"proof": proof["proof"] + str(signer.sign(text, timestamp=1_790_000_000))}
    raw = jose.canonical(json.loads(file) | {"evidence": cosigned})
    assert "of our public log" in brought(Visitor(app.test_client()), raw).says
    (tmp_path / "cosigned.json").write_bytes(raw)
    (tmp_path / "plain.json").write_bytes(file)
    (tmp_path / "keys.json").write_bytes(scene.visitor.send("GET", "/receipts/keys").data)

    def run(name: str, *log_key: str) -> tuple[int, str]:
        options = ["--keys", str(tmp_path / "keys.json"), "--language", "en", "--witness", str(signer.verifier)]
        status = verify_receipt.main([str(tmp_path / name), *options, *log_key])
        said = capsys.readouterr()
        return status, said.err or said.out

    known = ("--log-key", evidence.head().verifier)
    status, said = run("cosigned.json", *known)
    assert (status, "Cosigned by witness (2026-09-21 14:13:20 UTC)." in said) == (0, True)
    status, said = run("plain.json", *known)
    assert (status, "Of the witnesses 0 have cosigned the checkpoint, not 1." in said) == (1, True)
    with pytest.raises(SystemExit):
        run("cosigned.json")


def test_the_proof_of_another_receipt_is_refused(scene: Scene, app: Flask) -> None:
    file = downloaded(scene)
    scene.stop()
    other = downloaded(scene)
    raw = jose.canonical(json.loads(file) | {"evidence": proof_of(other)})
    assert OTHER in brought(Visitor(app.test_client()), raw).says
    with pytest.raises(Refused, match="about something else"):
        verify_receipt.check_in_log(verify_receipt.take_apart(raw), proof_of(other), None)


def test_the_program_says_what_it_could_not_check(
    scene: Scene, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("receipt.json", "receipt.jws"):
        (tmp_path / f"young-{name}").write_bytes(scene.visitor.send("GET", f"{scene.path}/{name}").data)
    (tmp_path / "receipt.json").write_bytes(downloaded(scene))
    (tmp_path / "keys.json").write_bytes(scene.visitor.send("GET", "/receipts/keys").data)
    (tmp_path / "proof.json").write_bytes(scene.visitor.send("GET", f"{scene.path}/proof.json").data)
    (tmp_path / "log.key").write_bytes(scene.visitor.send("GET", "/log/key").data)

    def run(name: str, **options: str) -> tuple[int, str]:
        more = [part for option, value in options.items() for part in (f"--{option.replace('_', '-')}", value)]
        status = verify_receipt.main([
            str(tmp_path / name), "--keys", str(tmp_path / "keys.json"), "--language", "en", *more
        ])  # fmt: skip
        said = capsys.readouterr()
        return status, (said.err or said.out).splitlines()[-1].strip()

    log_key, proof = str(tmp_path / "log.key"), str(tmp_path / "proof.json")
    assert run("receipt.json", log_key=log_key) == (0, in_log(scene))
    assert run("young-receipt.jws", log_key=log_key, proof=proof) == (0, in_log(scene))
    assert "name the log's key" in run("receipt.json")[1]
    assert "comes a second or two later" in run("young-receipt.json")[1]
    assert run("young-receipt.json", log_key=log_key)[0] == 2
    assert run("young-receipt.json", log_key=log_key, proof=log_key)[0] == 2
    assert run("receipt.json", log_key="nonsense")[0] == 1
    other = Signer(name=evidence.head().origin, private=Ed25519PrivateKey.generate()).verifier
    assert "not signed with the key of this log" in run("receipt.json", log_key=str(other))[1]


def in_log(scene: Scene) -> str:
    assert scene.row.entry is not None
    place, log = evidence.proof_of(scene.row.entry).index, evidence.head()
    return f"It is entry {place} of the public log {log.origin}, which had {log.size} entries by then."


# Whether it still holds


def test_what_became_of_it_is_told_to_its_holder_alone(scene: Scene, app: Flask) -> None:
    file, anybody = downloaded(scene), Visitor(app.test_client())
    other = factories.holder(scene.now, factories.OTHER_PERSON, "梁志文")
    db.session.commit()
    stranger = Visitor(app.test_client()).sign_in(other, scene.now)
    before = [brought(visitor, file).says for visitor in (anybody, stranger)]
    assert all("or earlier if it was stopped" in says for says in before)
    assert "Today: Active." in brought(scene.visitor, file).says
    scene.stop()
    assert [brought(visitor, file).says for visitor in (anybody, stranger)] == before
    page = brought(scene.visitor, file)
    assert "Today: Stopped." in page.says
    assert f"/authorizations/{scene.world.consent.consent_id}" in page.html
    stopped = scene.visitor.send("GET", f"{scene.path}/receipt.json").data
    assert "By this receipt nothing may be read any more." in brought(anybody, stopped).says


def test_what_its_own_time_has_ended_is_said_to_anybody(scene: Scene, app: Flask) -> None:
    ours, content = factories.registry().keyring.signing_key("records", scene.now), scene.signed.content
    content["consent"]["use"]["expires_at"] = "2026-01-31T00:00:00Z"
    content["digests"] = {name: jose.digest(part) for name, part in receipts.parts(content).items()}
    page = brought(Visitor(app.test_client()), Signed.sign(content, ours).file)
    assert "It ended on January 31, 2026 at the latest." in page.says


# The link of the code


def test_a_pasted_link_is_the_code_on_paper(scene: Scene, app: Flask) -> None:
    anybody = Visitor(app.test_client())
    issuer = factories.registry().issuer

    def pasted(text: str) -> str:
        anybody.get("/check")
        return anybody.tap("Check it", pasted=text).says

    query = f"receipt={scene.row.receipt_id}&digest={scene.row.digest}"
    assert "was issued here. Whether the paper says the same" in pasted(f" {issuer}/check?{query}\n")
    for wrong in ("", "?receipt=rcp_0", f"?receipt={scene.row.receipt_id}&digest={'0' * 64}", "?" + "a=&" * 2000):
        assert "No receipt with this number" in pasted(f"{issuer}/check{wrong}")
    for elsewhere in (f"https://evil.example/check?{query}", f"{issuer}.evil.example/check?{query}", "https://["):
        said = pasted(elsewhere)
        assert "This link does not lead to us" in said or "This is no receipt" in said
        assert "was issued here" not in said
