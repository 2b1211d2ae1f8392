"""The program that checks a kept answer of the data API without us: whose it is, and that it is what was delivered."""

import datetime as dt
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import access_line
import pytest
import verify_delivery
import verify_inclusion
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from jwcrypto.jwe import JWE
from jwcrypto.jwk import JWK
from signed import Refused, keys_of, sha256
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from consent import endings, evidence, worker
from consent.keys import KeyUse
from consent.notes import COSIGNATURE, Note, Signer
from consent.records import Consent
from dataspace import accesses, clock, disclosure, entries, jose
from dataspace.accesses import Access
from dataspace.db import db
from tests import factories
from tests.archived import package_of
from tests.consent.authority import Bureau
from tests.consent.degree import degree_bank, granted
from tests.consent.third_party import ThirdParty
from tests.consent.visitor import Visitor

pytestmark = pytest.mark.wire  # the programs see files, whatever database they came from

PATH = "/api/v1/data"


@pytest.fixture
def bank(app: Flask, client: FlaskClient) -> ThirdParty:
    return degree_bank(client)


def read(bank: ThirdParty, accept: str = "application/jwt") -> bytes:
    access = granted(bank)
    proof = bank.proof("GET", PATH, access_token=access)
    answer = bank.http.get(PATH, headers={"Authorization": f"DPoP {access}", "DPoP": proof, "Accept": accept})
    assert answer.status_code == 200
    return answer.data


def compared(bank: ThirdParty) -> bytes:
    access, path = granted(bank, items=[{"item": "p.edu.degree", "delivery": "verify_only"}]), "/api/v1/comparisons"
    proof = bank.proof("POST", path, access_token=access)
    headers = {"Authorization": f"DPoP {access}", "DPoP": proof, "Accept": "application/jwt"}
    rows = [{"school": "示例大学", "major": "会计", "level": None}]
    answer = bank.http.post(path, json={"items": [{"item": "p.edu.degree", "rows": rows}]}, headers=headers)
    assert answer.status_code == 200
    return answer.data


def lines() -> list[dict[str, Any]]:
    """The lines of the log of reads with their proofs, as a package of evidence holds them; oldest first."""
    worker.sequence(clock.now(), registry=factories.registry(), files=None)
    found = [accesses.entry_of(row) for row in db.session.scalars(select(Access).order_by(Access.access_id))]
    return [evidence.shown(entry) for entry in found if entry is not None]


def key_set() -> dict[str, Any]:
    return factories.registry().keyring.public_jwk_set(clock.now(), purpose=KeyUse.RECORDS)


def checked(raw: bytes, line: Any = None, *, looked_up: bool = True) -> tuple[list[str], list[str]]:
    """What is said first, and what the answer says; in English, after Chinese was tried."""
    answer = verify_delivery.check(raw, keys_of(key_set()), clock.now())
    told = verify_delivery.check_with_line(answer, line, evidence.head().verifier if line and looked_up else None)
    assert all(chinese for _english, chinese in told)
    assert verify_delivery.describe(answer, 1)
    return [english for english, _chinese in told], verify_delivery.describe(answer, 0)


def refused(raw: bytes, line: Any = None, *, looked_up: bool = True) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        checked(raw, line, looked_up=looked_up)
    assert caught.value.sentence["zh"]
    return caught.value.status, caught.value.sentence["en"]


def made_anew(raw: bytes, change: Callable[[dict[str, Any]], Any], *, by: jose.SigningKey | None = None) -> bytes:
    """Another token: what ours says, changed, and signed by us or by somebody else."""
    claims = json.loads(jose.read(raw.decode(), longest=10**6).payload)
    ours = factories.registry().keyring.signing_key(KeyUse.RECORDS, clock.now())
    return jose.sign(change(claims), by or ours, typ="delivery+jwt").encode()


# A good one


def test_an_answer_says_who_what_and_when_and_its_line_fits(bank: ThirdParty) -> None:
    raw = read(bank)
    told, described = checked(raw + b"\n")
    assert told[0] == "Genuine and unchanged."
    assert "It has no end" in told[1]
    said = "\n".join(described)
    for part in (bank.client_id, "http://localhost:8000", "authorization cns_", "version 1", "p.edu.degree (raw)"):
        assert part in said
    (line,) = lines()
    told, _described = checked(raw, line)
    assert told[2] == "The log of reads covers exactly this answer."
    assert told[3].startswith("It is entry ")
    assert checked(raw, line, looked_up=False)[0][3].startswith("The line was not looked up in the public log")


def test_a_comparison_is_checked_as_well(bank: ThirdParty) -> None:
    raw = compared(bank)
    told, described = checked(raw, lines()[0])
    assert told[2] == "The log of reads covers exactly this answer."
    assert "p.edu.degree (verify_only): compared: it matches" in described[-1]


def test_a_page_of_a_large_item_says_which_rows_it_has(app: Flask, client: FlaskClient) -> None:
    now = clock.now()
    person, months = factories.holder(now), factories.item(now, "p.account.movements", ("amount",), many=True)
    months.period_field = None
    factories.record(person, months, [{"amount": number} for number in range(25)], now)
    bank = ThirdParty(factories.party(now), client)
    factories.purpose(now, required=[months])
    db.session.commit()
    access, path = granted(bank), f"{PATH}/p.account.movements"
    headers = {"Authorization": f"DPoP {access}", "DPoP": bank.proof("GET", path, access_token=access)}
    answer = client.get(f"{path}?limit=10", headers=headers | {"Accept": "application/jwt"})
    told, described = checked(answer.data, lines()[0])
    assert told[2] == "The log of reads covers exactly this answer."
    assert "; rows 1 to 10 of 25" in described[-1]


def test_a_source_that_was_silent_is_said(bank: ThirdParty) -> None:
    def silent(claims: dict[str, Any]) -> dict[str, Any]:
        claims["delivery"]["items"][0]["source"]["silent_since"] = "2026-01-02T00:00:00Z"
        return claims

    _told, described = checked(made_anew(read(bank), silent))
    assert ", its source silent since 2026-01-02T00:00:00Z" in described[-1]


def test_one_without_a_signature_rests_on_the_log_alone(bank: ThirdParty) -> None:
    raw = read(bank, "application/json")
    assert refused(raw)[0] == 2
    (line,) = lines()
    assert refused(raw, line, looked_up=False)[0] == 2
    told, _described = checked(raw, line)
    assert told[:2] == [
        "It bears no signature, but the log has it as it is.",
        "The log of reads covers exactly this answer.",
    ]
    body = json.loads(raw)
    assert checked(json.dumps(body, indent=2).encode(), line)[0] == told  # the form is no content
    body["items"][0]["fields"]["school"] = "another"
    assert refused(json.dumps(body).encode(), line) == (
        1,
        "The answer is not the one that the line covers: its digest is another.",
    )


def test_an_encrypted_one_is_for_its_recipient_to_decrypt_first(bank: ThirdParty) -> None:
    key, client = JWK.generate(kty="EC", crv="P-256", kid="e1"), bank.party.client
    client.jwks = {"keys": [*client.jwks["keys"], json.loads(key.export_public()) | {"use": "enc"}]}
    bank.registers(data_encrypted_response_alg="ECDH-ES")
    db.session.commit()
    raw = read(bank)
    status, said = refused(raw)
    assert (status, "It is encrypted: only its recipient can read it" in said) == (2, True)
    opened = JWE(algs=["ECDH-ES", "A256GCM"])
    opened.deserialize(raw.decode(), key)
    assert checked(opened.payload, lines()[0])[0][0] == "Genuine and unchanged."


# What does not match

OTHER_FORM = "It is of another form: take a newer verifier."
CLAIMS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "of the future": (lambda c: c | {"iat": c["iat"] + 7200}, "it says that it is of the future"),
    "over": (lambda c: c | {"exp": c["iat"] - 60}, "it was valid until"),
    "an end that is none": (lambda c: c | {"exp": "never"}, OTHER_FORM),
    "an end beyond all years": (lambda c: c | {"exp": 10**17}, OTHER_FORM),
    "two numbers": (lambda c: c | {"jti": "dlv_other"}, "the two numbers of the delivery differ"),
    "no recipient": (lambda c: {n: v for n, v in c.items() if n != "aud"}, OTHER_FORM),
    "a date that is none": (lambda c: c | {"iat": True}, OTHER_FORM),
    "no answer in it": (lambda c: c | {"delivery": [1]}, OTHER_FORM),
    "another schema": (lambda c: c | {"delivery": c["delivery"] | {"schema": "gd-dsa-delivery/2"}}, OTHER_FORM),
    "no items": (lambda c: c | {"delivery": c["delivery"] | {"items": None}}, OTHER_FORM),
    "an unknown state": (lambda c: c | {"delivery": c["delivery"] | {"items": [{"item": "x"}]}}, OTHER_FORM),
    "no consent": (lambda c: c | {"delivery": c["delivery"] | {"consent": None}}, OTHER_FORM),
}  # fmt: skip


@pytest.mark.parametrize("what", CLAIMS)
def test_what_is_signed_and_does_not_hold_is_said(what: str, bank: ThirdParty) -> None:
    change, said = CLAIMS[what]
    status, sentence = refused(made_anew(read(bank), change))
    assert (status, said in sentence) == (1, True), sentence


def test_another_signer_another_kind_and_another_recipient_are_refused(bank: ThirdParty) -> None:
    raw = read(bank)
    stranger = jose.SigningKey(kid="theirs", alg="ES256", private_key=jose.generate_key("ES256"))
    assert "a key that is not in the key file" in refused(made_anew(raw, dict, by=stranger))[1]
    ours = key_set()["keys"][0]["kid"]
    pretender = jose.SigningKey(kid=ours, alg="ES256", private_key=stranger.private_key)
    assert "The signature does not match" in refused(made_anew(raw, dict, by=pretender))[1]
    _header, payload, signature = raw.decode().split(".")
    none = jose.b64encode(b'{"alg":"none","typ":"delivery+jwt"}')
    for forged in (f"{none}.{payload}.", f"{none}.{payload}.{signature}"):
        assert "The signature does not match" in refused(forged.encode())[1]
    receipt_key = factories.registry().keyring.signing_key(KeyUse.RECORDS, clock.now())
    claims = json.loads(jose.read(raw.decode(), longest=10**6).payload)
    assert "The signature does not match" in refused(jose.sign(claims, receipt_key, typ="JWT").encode())[1]
    with pytest.raises(Refused, match=f"delivered to somebody else: {bank.client_id}"):
        verify_delivery.check(raw, keys_of(key_set()), clock.now(), "another")


def test_any_changed_byte_is_refused(bank: ThirdParty) -> None:
    raw, known, now = read(bank), keys_of(key_set()), clock.now()

    @settings(max_examples=200, deadline=None)
    @given(where=st.integers(0, len(raw) - 1), by=st.integers(1, 255))
    def any_byte(where: int, by: int) -> None:
        changed = raw[:where] + bytes([raw[where] ^ by]) + raw[where + 1 :]
        with pytest.raises(Refused) as caught:
            verify_delivery.check(changed, known, now)
        assert caught.value.status in (1, 2)

    any_byte()


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode), st.from_regex(rb"\{.*\}|.*\..*\..*")))
def test_anything_else_is_refused_with_a_sentence(raw: bytes) -> None:
    with pytest.raises(Refused):
        verify_delivery.check(raw, {}, dt.datetime.now(dt.UTC))


@pytest.mark.parametrize("raw", [b"[" * 200_000, b'{"schema":' + b"[" * 200_000, b"e30.e30.e30", b"a.b", b""])
def test_what_is_no_answer_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused):
        verify_delivery.check(raw, {}, dt.datetime.now(dt.UTC))


# Its line


def stating(**changed: Any) -> Callable[[dict[str, Any]], Any]:
    """An honest line about another read: its statement leads to its entry."""

    def change(line: dict[str, Any]) -> dict[str, Any]:
        statement = line["statement"] | changed
        return line | {"statement": statement, "entry": sha256(bytes.fromhex(line["salt"]) + jose.canonical(statement))}

    return change


LINES: dict[str, tuple[Callable[[dict[str, Any]], Any], int, str]] = {
    "another read": (stating(delivery_id="dlv_0"), 1, "about something else than this delivery"),
    "no read": (stating(kind="receipt"), 1, "about something else than this delivery"),
    "another recipient": (stating(client_id="c9"), 1, "names another recipient"),
    "another consent": (stating(consent_id="cns_0"), 1, "names another authorization"),
    "another version": (stating(consent_version=9), 1, "names another authorization"),
    "by law": (stating(power_id="pow_1", power_version=1), 1, "names another authorization"),
    "another answer": (stating(response_digest="0" * 64), 1, "its digest is another"),
    "not in the log": (stating(reason="made up"), 1, "does not lead from the entry to the checkpoint"),
    "a changed statement": (lambda line: line | {"statement": line["statement"] | {"at": "x"}}, 1, "do not lead to"),
    "a changed salt": (lambda line: line | {"salt": "00" * 16}, 1, "do not lead to the entry"),
    "no proof yet": (lambda line: line | {"proof": None}, 2, "has no proof from the log yet"),
    "a proof that is none": (lambda line: line | {"proof": "x"}, 1, "is no proof"),
    "no line": (lambda _line: {"entry": "00"}, 1, "is said to be the proof from the log is none"),
    "a list": (lambda _line: [1], 1, "is said to be the proof from the log is none"),
}


@pytest.mark.parametrize("what", LINES)
def test_a_line_that_does_not_fit_is_said(what: str, bank: ThirdParty) -> None:
    change, status, said = LINES[what]
    raw = read(bank)
    (line,) = lines()
    found, sentence = refused(raw, change(line))
    assert (found, said in sentence) == (status, True), sentence


def test_a_line_without_a_digest_is_said_to_have_none(bank: ThirdParty) -> None:
    raw = read(bank)
    line = stating(response_digest=None)(lines()[0])
    told, _described = checked(raw, line, looked_up=False)
    assert told[2] == "The log of reads has this delivery, but no digest of the answer."
    plain = read(bank, "application/json")
    assert refused(plain, stating(response_digest=None)(lines()[1]))[0] == 2


# What its recipient and its holder can fetch


def proof_for(third: ThirdParty, delivery_id: str) -> TestResponse:
    """The proof of a delivery, asked for by a client that has nothing but its key."""
    headers = {"Authorization": f"Bearer {third.assertion()}"}
    return third.http.get(f"/api/v1/deliveries/{delivery_id}/proof", headers=headers)


def test_recipient_and_holder_fetch_the_proof_of_a_line_also_when_the_consent_has_ended(
    bank: ThirdParty, app: Flask, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token, now, headers = granted(bank), clock.now(), {"Accept": "application/jwt"}
    headers |= {"Authorization": f"DPoP {token}", "DPoP": bank.proof("GET", PATH, access_token=token)}
    raw = bank.http.get(PATH, headers=headers).data
    person = db.session.scalars(select(factories.Holder)).one()
    consent_id = db.session.scalars(select(Consent.consent_id)).one()
    by = factories.actor(person, now)
    endings.withdraw(consent_id, by, now, ask_deletion=False, registry=factories.registry())
    db.session.commit()
    assert bank.read(token).status_code == 403
    answered, refused_one = db.session.scalars(select(Access).order_by(Access.access_id))
    delivery_id, first, second = answered.delivery_id or "", answered.access_id, refused_one.access_id
    too_early = proof_for(bank, delivery_id)
    assert (too_early.status_code, too_early.json["code"]) == (503, "no_proof_yet")
    assert int(too_early.headers["Retry-After"]) > 0
    me = Visitor(app.test_client()).sign_in(person, now)
    assert "It comes within seconds" in me.get(f"/reads/{first}").says
    lines()
    before = db.session.scalar(select(func.count()).select_from(Access))
    fetched = proof_for(bank, delivery_id)
    me.get("/reads")
    me.follow("To prove it")
    assert me.page.link("Download the proof from the public log") == f"/reads/{second}/proof.json"
    own, of_refused = (me.send("GET", f"/reads/{one}/proof.json") for one in (first, second))
    assert fetched.data == own.data
    assert delivery_id in own.headers["Content-Disposition"]
    assert db.session.scalar(select(func.count()).select_from(Access)) == before, "a proof is no read"
    for name, content in (("answer.jwt", raw), ("line.json", fetched.data), ("refused.json", of_refused.data)):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "keys.json").write_text(json.dumps(key_set()))
    key = evidence.head().verifier
    common = ["--entry", str(tmp_path / "line.json"), "--log-key", key, "--language", "en"]
    assert verify_delivery.main([str(tmp_path / "answer.jwt"), "--keys", str(tmp_path / "keys.json"), *common]) == 0
    assert "covers exactly this answer" in capsys.readouterr().out
    assert verify_inclusion.main([str(tmp_path / "refused.json"), "--key", key]) == 0
    assert "consent_withdrawn" in capsys.readouterr().out
    for secret in (person.space_id, *(answered.record_ids or [])):
        assert secret.encode() not in fetched.data, "two recipients could tell that it is one person"
        assert entries.blinded(secret, bytes.fromhex(fetched.json["salt"])).encode() in fetched.data
    other = ThirdParty(factories.party(now, "other"), bank.http)
    stranger = factories.holder(now, factories.OTHER_PERSON, "别人")
    db.session.commit()
    assert proof_for(other, delivery_id).status_code == proof_for(bank, "dlv_0").status_code == 404
    assert bank.http.get(f"/api/v1/deliveries/{delivery_id}/proof").status_code == 401
    db.session.execute(update(Access).values(salt=None))
    db.session.commit()
    assert proof_for(bank, delivery_id).status_code == 404, "its salt is destroyed"
    assert "Download the proof" not in me.get(f"/reads/{first}").says
    someone = Visitor(app.test_client()).sign_in(stranger, now)
    assert someone.send("GET", f"/reads/{first}/proof.json").status_code == 404


def test_a_read_by_law_is_proven_for_the_authority_at_once_and_for_the_holder_when_she_is_told(
    app: Flask, client: FlaskClient
) -> None:
    bureau = Bureau.opened(client, clock.now())
    tax, token = bureau.tax, bureau.tax.token_for_case(defer_days=10)
    headers = {"Authorization": f"DPoP {token}", "DPoP": tax.proof("GET", PATH, access_token=token)}
    raw = client.get(PATH, headers=headers | {"Accept": "application/jwt"}).data
    delivery_id = verify_delivery.check(raw, keys_of(key_set()), clock.now()).body["delivery_id"]
    lines()
    line = proof_for(tax, delivery_id).json
    told, described = checked(raw, line)
    assert told[2] == "The log of reads covers exactly this answer."
    assert "by law, power tax-audit, version 1" in "\n".join(described)
    assert "names another authorization" in refused(raw, stating(power_version=2)(line))[1]
    bank = ThirdParty(factories.party(clock.now(), "bank"), client)
    db.session.commit()
    assert proof_for(bank, delivery_id).status_code == 404
    me = Visitor(app.test_client()).sign_in(bureau.person, clock.now())
    assert "Nobody has read anything yet" in me.get("/reads").says
    disclosure.sweep(clock.now() + dt.timedelta(days=11), 10)
    db.session.commit()
    assert proof_for(tax, delivery_id).json == line
    access_id = db.session.scalars(select(Access.access_id)).one()
    assert me.send("GET", f"/reads/{access_id}/proof.json").json == line


def test_its_line_is_found_in_a_package_of_evidence(bank: ThirdParty, tmp_path: Path) -> None:
    first, second = read(bank), read(bank)
    lines()
    consents = list(db.session.scalars(select(Consent).order_by(Consent.created_at, Consent.consent_id)))
    found: dict[str, bytes] = {}
    for consent in consents:
        found[consent.consent_id] = package_of(consent)
    path, known = tmp_path / "package.zip", keys_of(key_set())
    for raw, other in ((first, second), (second, first)):
        answer = verify_delivery.check(raw, known, clock.now())
        path.write_bytes(found[answer.body["consent"]["id"]])
        line = access_line.find(path, answer.body["delivery_id"])
        told = verify_delivery.check_with_line(answer, line, evidence.head().verifier)
        assert told[2][0] == "The log of reads covers exactly this answer."
        stranger = verify_delivery.check(other, known, clock.now())
        with pytest.raises(Refused, match="no line about this delivery"):
            access_line.find(path, stranger.body["delivery_id"])


# As a program


def test_as_a_program(bank: ThirdParty, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw, other = read(bank), read(bank)
    line = lines()[0]
    (tmp_path / "answer.jwt").write_bytes(raw)
    (tmp_path / "other.jwt").write_bytes(other)
    (tmp_path / "keys.json").write_text(json.dumps(key_set()))
    (tmp_path / "line.json").write_text(json.dumps(line))
    kept = {"read": {"outcome": "answered"}, "evidence": line}
    (tmp_path / "kept.json").write_text(json.dumps(kept))
    (tmp_path / "key").write_text(evidence.head().verifier + "\n")
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as file:
        file.writestr("manifest.json", "{}")
        file.writestr("reads/0001.json", json.dumps({"read": {}, "evidence": None}))
        file.writestr("reads/0002.json", json.dumps(kept))
    with zipfile.ZipFile(tmp_path / "damaged.zip", "w") as file:
        file.writestr("reads/0001.json", "no line")

    def run(name: str, *arguments: str) -> tuple[int, str]:
        paths = [str(tmp_path / one) if "." in one or one in ("key", "none") else one for one in arguments]
        common = ["--keys", str(tmp_path / "keys.json"), "--language", "en"]
        status = verify_delivery.main([str(tmp_path / name), *common, *paths])
        said = capsys.readouterr()
        assert bool(said.err) == (status != 0)
        return status, said.err or said.out

    assert run("answer.jwt")[0] == 0
    for source in (("--entry", "line.json"), ("--entry", "kept.json"), ("--package", "package.zip")):
        status, said = run("answer.jwt", *source, "--log-key", "key", "--recipient", bank.client_id)
        assert (status, "covers exactly this answer" in said, "of the public log" in said) == (0, True, True), source
    plain = read(bank, "application/json")
    (tmp_path / "plain.json").write_bytes(plain)
    (tmp_path / "plain-line.json").write_text(json.dumps(lines()[-1]))
    known = ("--entry", "plain-line.json", "--log-key", "key", "--recipient")
    status, said = run("plain.json", *known, bank.client_id)
    assert (status, f"read by 岭南示例银行 ({bank.client_id})" in said) == (0, True), said
    assert run("plain.json", *known, "another") == (1, f"The line names another recipient: {bank.client_id}.\n")
    assert run("answer.jwt", "--recipient", "another")[0] == 1
    assert run("other.jwt", "--package", "package.zip") == (1, "The package has no line about this delivery.\n")
    assert run("answer.jwt", "--package", "damaged.zip") == (1, "reads/0001.json is no line of the log of reads.\n")
    assert run("answer.jwt", "--package", "line.json")[0] == 1
    assert run("answer.jwt", "--entry", "answer.jwt")[0] == 2
    assert run("answer.jwt", "--entry", "none")[0] == 2
    text = Note.parse(line["proof"].partition("\n\n")[2].encode()).text
    signer = Signer(name="witness", private=Ed25519PrivateKey.generate(), kind=COSIGNATURE)
    cosigned = line | {"proof": line["proof"] + str(signer.sign(text, timestamp=1_790_000_000))}
    (tmp_path / "cosigned.json").write_text(json.dumps(cosigned))
    demanded = ("--log-key", "key", "--witness", str(signer.verifier))
    status, said = run("answer.jwt", "--entry", "cosigned.json", *demanded)
    assert (status, "Cosigned by witness (2026-09-21 14:13:20 UTC)." in said) == (0, True)
    assert run("answer.jwt", "--entry", "line.json", *demanded)[0] == 1
    with pytest.raises(SystemExit):
        run("answer.jwt", "--witness", str(signer.verifier))
    assert run("none")[0] == 2
    assert access_line.covers(line)
