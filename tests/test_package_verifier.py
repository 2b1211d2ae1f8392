"""Evidence packages: everything that proves a consent, made on a page or at the desk, checked by a program alone."""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import verify_package
from cosignatures import Witnesses
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Flask
from flask.testing import FlaskClient
from signed import Refused, load_keys

from consent import endings, evidence, evidence_package, log_change, proof_check, worker
from consent.evidence import EvidenceLog, NotYet
from consent.evidence_package import SCHEMA, TYP
from consent.interventions import OperatorEvent
from consent.keys import KeyUse
from consent.manifests import line, signed
from consent.notes import COSIGNATURE, Note, Signer
from consent.records import Consent
from dataspace import accesses, clock, jose
from dataspace.accesses import Access
from dataspace.db import db, table_of
from dataspace.entries import Entry, WaitingEntry, new_salt
from dataspace.messages import Message, Notice
from dataspace.vault import DataKey
from dataspace.web.shell import services
from tests import factories
from tests.archived import package_of, work
from tests.consent.degree import degree_bank, granted
from tests.consent.desk import Desk
from tests.consent.visitor import Visitor, delivered
from tests.zips import Contents, opened, packed


def sequence() -> None:
    worker.sequence(clock.now(), registry=factories.registry(), files=None)


@pytest.fixture
def consent(app: Flask, client: FlaskClient) -> Consent:
    """Given, read twice, refused once, stopped; the log has all of it but the last."""
    bank = degree_bank(client)
    token = granted(bank)
    for path in ("/api/v1/data", "/api/v1/data", "/api/v1/data/p.none"):
        bank.read(token, path)
    sequence()
    found = db.session.scalars(sa.select(Consent)).one()
    person = db.session.get_one(factories.Holder, found.holder_id)
    by = factories.actor(person, clock.now())
    endings.withdraw(found.consent_id, by, clock.now(), registry=factories.registry())
    db.session.commit()
    return found


@pytest.fixture
def keys(consent: Consent, tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(factories.registry().keyring.public_jwk_set(clock.now())), "utf-8")
    return path


def made(consent: Consent) -> Contents:
    """As its holder has it made."""
    return opened(package_of(consent))


def many_reads(consent: Consent, count: int) -> None:
    """The first read of a consent again and again, each with a salt of its own."""
    mine = sa.select(Access).filter_by(consent_id=consent.consent_id).order_by(Access.access_id)
    first = db.session.scalars(mine.limit(1)).one()
    same = {c.name: getattr(first, c.name) for c in table_of(Access).c if c.name not in ("access_id", "salt")}
    rows = [Access(**same, salt=new_salt()) for _ in range(count)]
    db.session.add_all(rows)
    stated = [entry for row in rows if (entry := accesses.entry_of(row)) is not None]
    db.session.execute(sa.insert(table_of(WaitingEntry)), [entry.row for entry in stated])
    db.session.commit()


def said(files: Contents, keys: Path, log_key: str = "") -> list[str]:
    """What the program has to object to."""
    path = keys.with_name("package.zip")
    path.write_bytes(packed(files))
    known = load_keys(keys)
    checked = verify_package.check(path, known, log_key or evidence.head().verifier, dt.datetime.now(dt.UTC))
    return [english for english, _chinese in checked.wrong]


def signed_anew(files: Contents) -> Contents:
    """The list signed by us again, after a change: what only a dishonest operator would do."""
    manifest = json.loads(files["manifest.json"])
    manifest.pop("files")
    rest = {name: content for name, content in files.items() if name not in LISTS}
    lines = {name: line(content) for name, content in rest.items()}
    return rest | dict(signed(manifest, lines, clock.now(), typ=TYP, registry=factories.registry()))


LISTS = ("manifest.json", "manifest.jws", "SHA256SUMS")
READS = "reads/00001.jsonl"


# What is in it


def test_it_holds_everything_that_proves_a_consent(consent: Consent, keys: Path) -> None:
    sequence()
    files = made(consent)
    folders = [name.partition("/")[0] for name in files if "/" in name]
    counts = {folder: folders.count(folder) for folder in folders if folder != "programs"}
    assert counts == {"versions": 1, "shown": 1, "events": 4, "receipts": 2, "reads": 1, "log": 2}
    assert files["shown/1.txt"].decode() == factories.shown(clock.now()).text
    assert files["log/checkpoint"] == evidence.head().note
    assert {"programs/verify_package.py", "programs/tlog.py", "HOW-TO-CHECK.txt", "keys.json", *LISTS} <= set(files)
    reads = [json.loads(line) for line in files[READS].splitlines()]
    assert [read["read"]["outcome"] for read in reads] == ["answered", "answered", "refused"]
    assert reads[0]["evidence"]["statement"]["response_digest"]
    assert said(files, keys) == []
    path = keys.with_name("package.zip")
    assert verify_package.check(path, None, None, dt.datetime.now(dt.UTC)).young == []


def test_of_a_consent_that_is_in_two_logs_each_proof_is_checked_with_the_key_of_its_own(
    consent: Consent, keys: Path
) -> None:
    old, new = log_change.change("https://localhost:8000", clock.now(), services().vault)
    sequence()
    files = made(consent)
    assert files["log/key"].decode().split() == [new.verifier, old.verifier]
    assert said(files, keys, files["log/key"].decode().strip()) == []
    assert any("of another log: localhost:8000/log/2" in wrong for wrong in said(files, keys, old.verifier))
    path = keys.with_name("package.zip")
    assert verify_package.check(path, None, None, dt.datetime.now(dt.UTC)).wrong == []
    events = [json.loads(files[name])["evidence"] for name in sorted(files) if name.startswith("events/")]
    sizes = [proof_check.check(one, evidence.verifiers(), expected_about={}).size for one in events]
    assert (sizes[0], sizes[-1]) == (old.size, evidence.head().size)


def test_what_had_no_proof_yet_is_named(consent: Consent, keys: Path) -> None:
    files = made(consent)
    assert said(files, keys) == []
    checked = verify_package.check(keys.with_name("package.zip"), None, None, dt.datetime.now(dt.UTC))
    assert [name.partition("/")[0] for name in checked.young] == ["events", "receipts"]
    assert "because too young" in verify_package.in_words(checked)[-1][0]


def test_that_it_was_made_is_in_the_log_and_told(consent: Consent) -> None:
    made(consent)
    (package,) = evidence_package.of_consent(consent.consent_id)
    entry: Entry = evidence_package.entry_of(package)
    waiting = db.session.scalars(sa.select(WaitingEntry.entry).order_by(WaitingEntry.key))
    assert entry.digest in list(waiting)
    sequence()
    assert evidence.has(entry)
    told = db.session.scalars(sa.select(Message.kind).where(Message.about == consent.consent_id))
    assert Notice.EVIDENCE_PACKED in list(told)


def test_without_a_log_there_is_none(app: Flask, now: dt.datetime) -> None:
    world = factories.world(now)
    with pytest.raises(NotYet):
        package_of(world.consent)


def test_after_erasure_what_is_left_still_checks(consent: Consent, keys: Path) -> None:
    sequence()
    db.session.get_one(DataKey, consent.space_id).wrapped = None
    db.session.commit()
    files = made(consent)
    assert not [name for name in files if name.startswith(("shown/", "receipts/"))]
    assert said(files, keys) == []


def test_it_holds_all_reads_however_many(consent: Consent, keys: Path) -> None:
    many_reads(consent, 600)
    sequence()
    files = made(consent)
    reads = sorted(name for name in files if name.startswith("reads/"))
    assert [files[name].count(b"\n") for name in reads] == [500, 103]
    assert len({line for name in reads for line in files[name].splitlines()}) == 603
    assert json.loads(files["manifest.json"])["reads"] == 603
    assert said(files, keys) == []


# Tampering


def test_each_changed_file_is_named(consent: Consent, keys: Path) -> None:
    sequence()
    files = made(consent)
    for name, content in files.items():
        changed = files | {name: content[:-2] + bytes([content[-2] ^ 1]) + content[-1:]}
        if name == "manifest.jws":
            with pytest.raises(Refused, match="signature of the list of files"):
                said(changed, keys)
        else:
            assert said(changed, keys) == [f"{name} was changed."]
        if name != "manifest.jws":
            assert said({n: c for n, c in files.items() if n != name}, keys) == [f"{name} is missing."]
    assert said(files | {"reads/00002.jsonl": b"{}"}, keys) == ["reads/00002.jsonl does not belong to it."]


def edited(name: str, change: Callable[[Any], Any]) -> Callable[[Contents], Contents]:
    return lambda files: files | {name: jose.canonical(change(json.loads(files[name])))}


def text(name: str, value: bytes) -> Callable[[Contents], Contents]:
    return lambda files: files | {name: value}


def moved(source: str, target: str) -> Callable[[Contents], Contents]:
    return lambda files: files | {target: files[source]}


def without(name: str) -> Callable[[Contents], Contents]:
    return lambda files: {n: c for n, c in files.items() if n != name}


def with_event(**changes: Any) -> Callable[[Any], Any]:
    return lambda held: held | {"event": held["event"] | changes}


# What a dishonest operator could do and sign, and what the program says then.
DISHONEST: dict[str, tuple[Callable[[Contents], Contents], str]] = {
    "another version": (
        edited("versions/1.json", lambda held: held | {"document": held["document"] | {"kind": "notice_only"}}),
        "versions/1.json: The signature of this version does not match.",
    ),
    "another text": (text("shown/1.txt", b"I agree to everything."), "shown/1.txt: It is not the text that the signed"),
    "another time": (
        edited("events/0002.json", with_event(at="2020-01-01T00:00:00Z")),
        "events/0002.json: What happened",
    ),
    "an event less": (without("events/0002.json"), "events/0003.json: It does not follow the event before it."),
    "an event twice": (moved("events/0002.json", "events/0003.json"), "events/0003.json: It does not follow"),
    "another statement": (
        edited("events/0002.json", lambda h: h | {"evidence": h["evidence"] | {"salt": "00" * 16}}),
        "events/0002.json: The statement and its salt do not lead to the entry",
    ),
    "the proof of another": (
        lambda files: edited(
            "events/0002.json", lambda h: h | {"evidence": json.loads(files["events/0001.json"])["evidence"]}
        )(files),
        "events/0002.json: Its proof from the log is about something else.",
    ),
    "a read changed": (
        lambda files: files | {READS: b'"outcome":"answered"'.join(files[READS].rsplit(b'"outcome":"refused"', 1))},
        f"{READS}:3: Its proof from the log is about something else.",
    ),
    "a read that is none": (text(READS, b"[]\n"), f"{READS}:1 is not what it should be."),
    "a read without an end": (text(READS, b"{" * 100_000), f"{READS}:2 is not what it should be."),
    "a read less": (
        lambda files: files | {READS: files[READS].split(b"\n", 1)[1]},
        "manifest.json: 2 reads are here, but the list of files says that there are 3.",
    ),
    "another checkpoint": (text("log/checkpoint", b"nonsense"), "log/checkpoint: "),
}


@pytest.mark.parametrize("what", DISHONEST)
def test_what_is_signed_and_does_not_fit_is_named(what: str, consent: Consent, keys: Path) -> None:
    sequence()
    change, sentence = DISHONEST[what]
    found = said(signed_anew(change(made(consent))), keys)
    assert any(one.startswith(sentence) for one in found), found


def test_a_receipt_of_another_consent_is_named(consent: Consent, keys: Path) -> None:
    sequence()
    files = made(consent)
    name = next(name for name in files if name.startswith("receipts/"))
    manifest = json.loads(files["manifest.json"]) | {"consent_id": "cns_other"}
    found = said(signed_anew(files | {"manifest.json": jose.canonical(manifest)}), keys)
    assert f"{name}: This is a receipt of another consent." in found
    assert "versions/1.json: This is a version of another consent." in found


def test_keys_of_others_do_not_fit(consent: Consent, keys: Path) -> None:
    sequence()
    files = made(consent)
    signer = Signer(name=evidence.head().origin, private=Ed25519PrivateKey.generate())
    found = said(files, keys, str(signer.verifier))
    assert all("not signed with the key of this log" in one for one in found)
    assert len(found) == 4 + 2 + 3 + 1
    keys.write_text('{"keys": []}')
    with pytest.raises(Refused, match="not in the key file"):
        said(files, keys)


def test_witnesses_that_are_demanded_have_cosigned(consent: Consent, keys: Path) -> None:
    sequence()
    witness = Signer(name="witness.example", private=Ed25519PrivateKey.generate(), kind=COSIGNATURE)
    demanded = Witnesses([str(witness.verifier)], 1)
    path, now = keys.with_name("package.zip"), dt.datetime.now(dt.UTC)
    assert said(made(consent), keys) == []
    found = verify_package.check(path, None, None, now, demanded).wrong
    assert len(found) == 4 + 2 + 3
    assert all("Of the witnesses 0 have cosigned the checkpoint, not 1." in english for english, _ in found)
    log = db.session.scalars(sa.select(EvidenceLog)).one()
    log.cosigned_size = log.size
    log.cosigned_note = log.note + str(witness.sign(Note.parse(log.note).text, timestamp=1_800_000_000)).encode()
    db.session.commit()
    files = made(consent)
    assert b"witness.example" in files["log/checkpoint"]
    assert said(files, keys) == []
    assert verify_package.check(path, None, None, now, demanded).wrong == []


def test_other_documents_are_no_packages(consent: Consent, keys: Path) -> None:
    files = made(consent)
    key = factories.registry().keyring.signing_key(KeyUse.RECORDS, clock.now())
    payload = jose.canonical({"schema": SCHEMA, "files": {}})
    with pytest.raises(Refused, match="signature of the list of files"):
        said(files | {"manifest.jws": jose.sign_bytes(payload, key, typ="dsa-archive+json").encode()}, keys)


# People


def test_its_holder_makes_one_on_the_page(
    consent: Consent, app: Flask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sequence()
    visitor = Visitor(app.test_client()).sign_in(db.session.get_one(factories.Holder, consent.holder_id), clock.now())
    visitor.get(f"/authorizations/{consent.consent_id}")
    path = f"/authorizations/{consent.consent_id}/evidence"
    assert path in [href for _words, href in visitor.page.links]
    assert "the text as it was shown, word for word" in visitor.get(path).says
    assert "Being made" in visitor.tap("Make the evidence package").says
    assert not visitor.page.offers("Make the evidence package")
    assert work()
    assert "Ready" in visitor.follow("See how far it is").says
    answer = visitor.send("GET", visitor.page.link("Save the file"))
    assert (answer.status_code, answer.mimetype) == (200, "application/zip")
    (tmp_path / "package.zip").write_bytes(answer.data)
    guide = opened(answer.data)["HOW-TO-CHECK.txt"].decode()
    assert "怎样核对" in guide
    assert "How to check it" in guide
    assert f"Authorization: {consent.consent_id}" in guide
    (tmp_path / "keys.json").write_bytes(visitor.send("GET", "/receipts/keys").data)
    (tmp_path / "log.key").write_bytes(visitor.send("GET", "/log/key").data)
    package, given = (
        str(tmp_path / "package.zip"),
        ["--keys", str(tmp_path / "keys.json"), "--log-key", str(tmp_path / "log.key")],
    )
    assert verify_package.main([package, *given, "--language", "en"]) == 0
    assert "4 events, 2 receipts, 3 reads." in capsys.readouterr().out
    assert verify_package.main([package, "--enclosed-keys"]) == 0
    assert evidence.head().verifier in capsys.readouterr().out
    assert verify_package.main([str(tmp_path / "keys.json"), *given]) == 1
    assert verify_package.main([str(tmp_path / "none"), *given]) == 2
    for wrong in ([], given[:2], [*given, "--enclosed-keys"]):
        with pytest.raises(SystemExit):
            verify_package.main([package, *wrong])
    assert "Evidence package made" in visitor.get(path).says
    assert "The file is not kept any more." not in visitor.page.says
    assert "A package of evidence about an authorization was made" in visitor.get("/messages").says
    visitor.tap("Look at it")
    assert "The file was removed." in visitor.tap("Remove it").says
    assert visitor.send("GET", answer.request.path).status_code == 404
    assert "Evidence package made" in visitor.page.says
    assert "The file is not kept any more." in visitor.page.says


def test_nobody_elses(consent: Consent, app: Flask) -> None:
    package_of(consent)
    (file,) = evidence_package.files_of(consent.consent_id, by_office=False)
    other = factories.holder(clock.now(), factories.OTHER_PERSON, "梁志文")
    admin = factories.administrator(clock.now(), factories.LEGAL_REP)
    db.session.commit()
    stranger = Visitor(app.test_client()).sign_in(other, clock.now())
    token = delivered(next(iter(stranger.get("/authorizations").forms.values())))["csrf_token"]
    path = f"/authorizations/{consent.consent_id}/evidence"
    file_path = f"{path}/{file.archive_id}"
    fetched, discarded, as_copy = f"{file_path}.zip", f"{file_path}/discard", f"/archive/{file.archive_id}/archive.zip"
    for method, address in (("POST", path), ("GET", fetched), ("POST", discarded), ("GET", as_copy)):
        assert stranger.send(method, address, data={"csrf_token": token}).status_code == 404
    desk = Desk(app.test_client()).sign_in(admin, clock.now())
    assert desk.client.get(f"/admin/consents/{consent.consent_id}/evidence/{file.archive_id}.zip").status_code == 404
    assert b"PK" not in app.test_client().get(fetched).data
    assert len(evidence_package.files_of(consent.consent_id, by_office=False)) == 1
    old = Visitor(app.test_client()).sign_in(
        db.session.get_one(factories.Holder, consent.holder_id), clock.now() - dt.timedelta(minutes=16)
    )
    assert "/signin" in old.send("GET", fetched).location, "it takes a recent sign-in"


def test_an_administrator_needs_a_reason_which_the_holder_reads(consent: Consent, app: Flask) -> None:
    sequence()
    desk = Desk(app.test_client()).sign_in(factories.administrator(clock.now(), factories.LEGAL_REP), clock.now())
    path = f"/admin/consents/{consent.consent_id}"
    desk.get(path)
    desk.post(f"{path}/evidence", 400, ground="authority_decision", text=" ")
    assert "Choose a reason" in desk.page
    desk.get(path)
    desk.post(f"{path}/evidence", 303, ground="authority_decision", text="示例市人民法院 (2026) 第 1 号")
    assert work()
    desk.get(path)
    (file,) = evidence_package.files_of(consent.consent_id, by_office=True)
    assert f"{path}/evidence/{file.archive_id}.zip" in desk.page
    answer = desk.client.get(f"{path}/evidence/{file.archive_id}.zip")
    assert answer.mimetype == "application/zip"
    colleague = Desk(app.test_client()).sign_in(
        factories.administrator(clock.now(), factories.OTHER_PERSON), clock.now()
    )
    assert file.archive_id not in colleague.get(path).get_data(as_text=True)
    assert colleague.client.get(f"{path}/evidence/{file.archive_id}.zip").status_code == 404
    by = json.loads(opened(answer.data)["manifest.json"])["made_by"]
    assert by == {
        "capacity": "administrator", "reason_code": "authority_decision", "text": "示例市人民法院 (2026) 第 1 号",
    }  # fmt: skip
    noted = db.session.scalars(sa.select(OperatorEvent).where(OperatorEvent.kind == "evidence:packed")).one()
    assert noted.text == "示例市人民法院 (2026) 第 1 号"
    holder = Visitor(app.test_client()).sign_in(db.session.get_one(factories.Holder, consent.holder_id), clock.now())
    page = holder.get(f"/authorizations/{consent.consent_id}/evidence")
    assert "示例市人民法院 (2026) 第 1 号" in page.says
    assert not holder.page.offers("Remove it"), "the file is the administrator's"
    assert "A package of evidence about an authorization was made" in holder.get("/messages").says
    assert holder.send("GET", f"/authorizations/{consent.consent_id}/evidence/{file.archive_id}.zip").status_code == 404
    assert db.session.scalar(sa.select(sa.func.count()).select_from(Access)) == 3, "no read of data"
