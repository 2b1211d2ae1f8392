"""The ceremonies and the rules about passkeys and codes, as domain functions."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dataspace import ceremonies, clock, passkeys
from dataspace.ceremonies import Begun, CeremonyOver, PasskeyError, Purpose, RelyingParty
from dataspace.db import db
from dataspace.errors import NotAllowed, NotFound
from dataspace.holders import Holder
from dataspace.passkeys import CodeRefused, InvalidName, KnownPasskey, LastPasskey, UnknownPasskey, VerifiedSignIn
from examples.authenticator import Knobs, SoftAuthenticator, decode, encode
from tests import factories
from tests.conftest import make_settings

pytestmark = pytest.mark.wire

ORIGIN = "http://localhost:8000"
PARTY = RelyingParty(rp_id="localhost", name="数字空间", origin=ORIGIN)
MINUTE = dt.timedelta(minutes=1)


class Person:
    """A person with a device, speaking to the domain functions as the web side does."""

    def __init__(self, holder: Holder, now: dt.datetime) -> None:
        self.holder, self.now, self.device = holder, now, SoftAuthenticator()

    def begin_enrolment(self, code: str) -> Begun:
        invited = passkeys.invitation(passkeys.code_digest(code), self.now)
        return passkeys.begin_enrolment(invited, self.now, party=PARTY, person_name="陈嘉怡", browser="mine")

    def take(self, begun: Begun, purpose: Purpose, browser: str = "mine") -> ceremonies.TakenCeremony:
        person_id = None if purpose is Purpose.SIGN_IN else self.holder.holder_id
        return ceremonies.take(
            begun.ceremony_id,
            self.now,
            expected_purpose=purpose,
            expected_browser=browser,
            expected_person_id=person_id,
        )

    def enrol(self, knobs: Knobs | None = None, *, recovery: bool = False, origin: str = ORIGIN) -> VerifiedSignIn:
        begun = self.begin_enrolment(passkeys.issue_enrolment_code(self.holder, self.now, recovery=recovery))
        made = self.device.create(begun.options, origin, knobs)
        return passkeys.finish_enrolment(self.take(begun, Purpose.ENROL), made, self.now, party=PARTY)

    def add(self) -> VerifiedSignIn:
        begun = passkeys.begin_addition(
            self.holder.holder_id, self.now, party=PARTY, person_name="陈嘉怡", browser="mine"
        )
        made = self.device.create(begun.options | {"excludeCredentials": []}, ORIGIN)
        return passkeys.finish_enrolment(self.take(begun, Purpose.ADD), made, self.now, party=PARTY)

    def begin_sign_in(self) -> Begun:
        return passkeys.begin_sign_in(self.now, party=PARTY, browser="mine")

    def sign_in(self, knobs: Knobs | None = None, *, origin: str = ORIGIN, use: int = -1) -> VerifiedSignIn:
        begun = self.begin_sign_in()
        answer = self.device.get(begun.options, origin, knobs, use=use)
        return passkeys.finish_sign_in(self.take(begun, Purpose.SIGN_IN), answer, self.now, party=PARTY)


@pytest.fixture
def person(app: Flask, now: dt.datetime) -> Person:
    return Person(factories.holder(now), now)


# Enrolment codes


def test_a_code_is_typed_in_groups_and_has_80_bits(person: Person) -> None:
    code = passkeys.issue_enrolment_code(person.holder, person.now)
    assert [len(group) for group in code.split("-")] == [4, 4, 4, 4]
    assert len(passkeys.CODE_ALPHABET) ** 16 == 2**80
    assert set(code) <= set(passkeys.CODE_ALPHABET) | {"-"}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("abcd-1234-efgh-5678", "ABCD-1234-EFGH-5678"),
        (" ABCD 1234 EFGH 5678 ", "ABCD-1234-EFGH-5678"),
        ("ABCD12340FGH5678", "ABCD-1234-OFGH-5678"),
        ("ABCDi234EFGH5678", "ABCD-L234-EFGH-5678"),
        ("\uff21\uff22\uff23\uff24\uff0d1234EFGH5678", "ABCD-1234-EFGH-5678"),  # what a Chinese keyboard types
        ("ABCD—1234—EFGH—5678", "ABCD-1234-EFGH-5678"),
    ],
)
def test_a_code_is_understood_as_people_type_it(typed: str, meant: str) -> None:
    assert passkeys.code_digest(typed) == passkeys.code_digest(meant)


def test_the_code_itself_is_not_stored(person: Person) -> None:
    code = passkeys.issue_enrolment_code(person.holder, person.now)
    row = db.session.scalar(db.select(passkeys.EnrolmentCode))
    assert row is not None
    assert code not in str(vars(row))
    assert code.replace("-", "") not in str(vars(row))


def test_a_code_lives_a_day(person: Person) -> None:
    digest = passkeys.code_digest(passkeys.issue_enrolment_code(person.holder, person.now))
    assert dt.timedelta(hours=24) == passkeys.CODE_LIFE
    assert passkeys.invitation(digest, person.now + passkeys.CODE_LIFE - MINUTE).person_id == person.holder.holder_id
    with pytest.raises(CodeRefused):
        passkeys.invitation(digest, person.now + passkeys.CODE_LIFE)


def test_a_fresh_code_voids_the_older_one(person: Person) -> None:
    older = passkeys.code_digest(passkeys.issue_enrolment_code(person.holder, person.now))
    newer = passkeys.code_digest(passkeys.issue_enrolment_code(person.holder, person.now))
    with pytest.raises(CodeRefused):
        passkeys.invitation(older, person.now)
    assert passkeys.invitation(newer, person.now).person_id == person.holder.holder_id


def test_a_code_works_once(person: Person) -> None:
    code = passkeys.issue_enrolment_code(person.holder, person.now)
    first, second = person.begin_enrolment(code), person.begin_enrolment(code)
    taken = person.take(first, Purpose.ENROL)
    passkeys.finish_enrolment(taken, person.device.create(first.options, ORIGIN), person.now, party=PARTY)
    with pytest.raises(CodeRefused):
        person.begin_enrolment(code)
    made = SoftAuthenticator().create(second.options, ORIGIN)
    with pytest.raises(CodeRefused):
        passkeys.finish_enrolment(person.take(second, Purpose.ENROL), made, person.now, party=PARTY)
    assert len(passkeys.passkeys_of(person.holder.holder_id)) == 1


def test_only_natural_persons_with_an_open_space_get_codes(app: Flask, now: dt.datetime) -> None:
    closed = factories.holder(now)
    closed.closed_at = now
    for holder in (factories.company(now), closed):
        with pytest.raises(NotAllowed):
            passkeys.issue_enrolment_code(holder, now)


# Registration


def test_the_options_ask_for_a_discoverable_credential_and_a_verified_user(person: Person) -> None:
    options = person.begin_enrolment(passkeys.issue_enrolment_code(person.holder, person.now)).options
    assert options["rp"]["id"] == "localhost"
    assert options["authenticatorSelection"] == {
        "residentKey": "required",
        "requireResidentKey": True,
        "userVerification": "required",
    }
    assert options["attestation"] == "none"
    assert options["timeout"] == 300_000
    assert len(decode(options["challenge"])) == 32
    assert len(decode(options["user"]["id"])) == 32
    assert person.holder.holder_id not in json.dumps(options)


def test_a_device_is_not_registered_twice(person: Person) -> None:
    person.enrol()
    with pytest.raises(ValueError, match="registered already"):
        person.enrol()


def test_a_passkey_of_somebody_else_cannot_be_taken_over(person: Person) -> None:
    person.enrol()
    other = Person(factories.holder(person.now, factories.OTHER_PERSON, "梁志文"), person.now)
    begun = other.begin_enrolment(passkeys.issue_enrolment_code(other.holder, other.now))
    person.device.create = _with_id(person.device, person.device.credentials[0].credential_id)  # type: ignore[method-assign]
    made = person.device.create(begun.options, ORIGIN)
    with pytest.raises(KnownPasskey):
        passkeys.finish_enrolment(other.take(begun, Purpose.ENROL), made, other.now, party=PARTY)


def _with_id(device: SoftAuthenticator, credential_id: bytes) -> Callable[..., dict[str, Any]]:
    """A device that gives its new credential an identifier that exists."""

    def create(options: dict[str, Any], origin: str, knobs: Knobs | None = None) -> dict[str, Any]:
        made = SoftAuthenticator.create(device, options, origin, knobs)
        attestation = decode(made["response"]["attestationObject"]).replace(
            device.credentials[-1].credential_id, credential_id
        )
        made["response"]["attestationObject"] = encode(attestation)
        return made | {"id": encode(credential_id), "rawId": encode(credential_id)}

    return create


LIES = {
    "user not verified": ({"user_verified": False}, ORIGIN, "verif"),
    "user not present": ({"user_present": False}, ORIGIN, "present"),
    "other origin": ({}, "http://localhost:8001", "origin"),
    "origin with path": ({}, ORIGIN + "/", "origin"),
    "https in place of http": ({}, "https://localhost:8000", "origin"),
    "sister host": ({}, "http://evil.localhost:8000", "origin"),
    "other relying party": ({"rp_id": "example.org"}, ORIGIN, "RP ID"),
    "inside a foreign page": ({"cross_origin": True}, ORIGIN, "another origin"),
    "foreign challenge": ({"challenge": encode(b"x" * 32)}, ORIGIN, "challenge"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_registration_is_refused(person: Person, lie: str) -> None:
    knobs, origin, said = LIES[lie]
    with pytest.raises(PasskeyError, match=said) as caught:
        person.enrol(Knobs(**knobs), origin=origin)
    assert type(caught.value) is PasskeyError
    assert passkeys.passkeys_of(person.holder.holder_id) == []


def test_an_answer_of_the_other_kind_is_refused(person: Person) -> None:
    with pytest.raises(PasskeyError, match=r"webauthn\.get"):
        person.enrol(Knobs(client_data_type="webauthn.get"))
    person.enrol()
    with pytest.raises(PasskeyError, match=r"webauthn\.create"):
        person.sign_in(Knobs(client_data_type="webauthn.create"))


# Sign-in


def test_sign_in(person: Person) -> None:
    enrolled = person.enrol()
    verified = person.sign_in()
    assert verified == VerifiedSignIn(
        person_id=person.holder.holder_id, passkey_id=enrolled.passkey_id, at=person.now, replaces_all=False
    )
    passkey = passkeys.get(verified.passkey_id, person_id=verified.person_id)
    db.session.refresh(passkey)
    assert (passkey.sign_count, passkey.last_used_at, passkey.backed_up) == (1, person.now, True)


def test_a_sign_in_names_no_account(person: Person) -> None:
    person.enrol()
    options = person.begin_sign_in().options
    assert options["allowCredentials"] == []
    assert options["userVerification"] == "required"


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_sign_in_is_refused(person: Person, lie: str) -> None:
    person.enrol()
    knobs, origin, said = LIES[lie]
    with pytest.raises(PasskeyError, match=said) as caught:
        person.sign_in(Knobs(**knobs), origin=origin)
    assert type(caught.value) is PasskeyError


@pytest.mark.parametrize("knobs", [Knobs(user_handle=b"x" * 32), Knobs(user_handle=b""), Knobs(omit_user_handle=True)])
def test_a_wrong_user_handle_is_refused(person: Person, knobs: Knobs) -> None:
    person.enrol()
    with pytest.raises(PasskeyError, match="user handle"):
        person.sign_in(knobs)


def test_the_user_handle_of_somebody_else_is_refused(person: Person) -> None:
    person.enrol()
    other = Person(factories.holder(person.now, factories.OTHER_PERSON, "梁志文"), person.now)
    other.enrol()
    with pytest.raises(PasskeyError, match="user handle"):
        person.sign_in(Knobs(user_handle=other.device.credentials[0].user_handle))


def test_a_signature_of_another_key_is_refused(person: Person) -> None:
    person.enrol()
    stolen = SoftAuthenticator()
    stolen.create({"rp": {"id": "localhost"}, "user": {"id": "eA"}, "challenge": "eA"}, ORIGIN)
    person.device.credentials[0].private_key = stolen.credentials[0].private_key
    with pytest.raises(PasskeyError, match="signature"):
        person.sign_in()


@pytest.mark.parametrize(("stored", "sent"), [(5, 5), (5, 4), (5, 0), (2**32 - 1, 1)])
def test_a_sign_count_that_does_not_rise_is_refused(person: Person, stored: int, sent: int) -> None:
    person.enrol(Knobs(sign_count=stored))
    with pytest.raises(PasskeyError, match="sign count"):
        person.sign_in(Knobs(sign_count=sent))


def test_a_synced_passkey_counts_nothing(person: Person) -> None:
    person.device = SoftAuthenticator(counts=False)
    person.enrol()
    assert person.sign_in().passkey_id == person.sign_in().passkey_id


def test_two_answers_with_the_same_count_cannot_both_succeed(person: Person) -> None:
    person.enrol()
    first, second = person.begin_sign_in(), person.begin_sign_in()
    answers = [person.device.get(b.options, ORIGIN, Knobs(sign_count=7)) for b in (first, second)]
    passkeys.finish_sign_in(person.take(first, Purpose.SIGN_IN), answers[0], person.now, party=PARTY)
    with pytest.raises(PasskeyError, match="sign count"):
        passkeys.finish_sign_in(person.take(second, Purpose.SIGN_IN), answers[1], person.now, party=PARTY)


def test_a_removed_passkey_is_unknown(person: Person) -> None:
    first = person.enrol()
    person.add()
    passkeys.remove(first.passkey_id, clock.now(), person_id=person.holder.holder_id)
    with pytest.raises(UnknownPasskey):
        person.sign_in(use=0)
    assert person.sign_in(use=1).person_id == person.holder.holder_id


def test_nobody_signs_in_to_a_closed_space(person: Person) -> None:
    person.enrol()
    person.holder.closed_at = person.now
    with pytest.raises(UnknownPasskey):
        person.sign_in()


# Ceremonies


def test_a_challenge_is_used_once(person: Person) -> None:
    person.enrol()
    begun = person.begin_sign_in()
    person.take(begun, Purpose.SIGN_IN)
    with pytest.raises(CeremonyOver):
        person.take(begun, Purpose.SIGN_IN)


def test_a_challenge_belongs_to_the_browser_that_asked(person: Person) -> None:
    begun = person.begin_sign_in()
    with pytest.raises(CeremonyOver):
        person.take(begun, Purpose.SIGN_IN, browser="somebody else's")


def test_a_challenge_serves_one_purpose(person: Person) -> None:
    begun = person.begin_enrolment(passkeys.issue_enrolment_code(person.holder, person.now))
    for purpose in (Purpose.SIGN_IN, Purpose.ADD):
        with pytest.raises(CeremonyOver):
            person.take(begun, purpose)


def test_a_registration_belongs_to_one_person(person: Person) -> None:
    begun = person.begin_enrolment(passkeys.issue_enrolment_code(person.holder, person.now))
    for other in (None, "hld_somebody_else"):
        with pytest.raises(CeremonyOver):
            ceremonies.take(
                begun.ceremony_id,
                person.now,
                expected_purpose=Purpose.ENROL,
                expected_browser="mine",
                expected_person_id=other,
            )


def test_a_taken_ceremony_of_one_kind_does_not_finish_the_other(person: Person) -> None:
    person.enrol()
    sign_in = person.take(person.begin_sign_in(), Purpose.SIGN_IN)
    answer = person.device.get({"rpId": "localhost", "challenge": encode(sign_in.challenge)}, ORIGIN)
    with pytest.raises(CeremonyOver):
        passkeys.finish_enrolment(sign_in, {}, person.now, party=PARTY)
    begun = passkeys.begin_addition(person.holder.holder_id, person.now, party=PARTY, person_name="x", browser="mine")
    with pytest.raises(CeremonyOver):
        passkeys.finish_sign_in(person.take(begun, Purpose.ADD), answer, person.now, party=PARTY)


def test_a_challenge_lives_five_minutes(person: Person) -> None:
    begun = person.begin_sign_in()
    person.now += ceremonies.CEREMONY_LIFE
    assert dt.timedelta(minutes=5) == ceremonies.CEREMONY_LIFE
    with pytest.raises(CeremonyOver):
        person.take(begun, Purpose.SIGN_IN)


def test_the_sweep_deletes_only_what_is_over(person: Person) -> None:
    person.begin_sign_in()
    person.now += 3 * MINUTE
    kept = person.begin_sign_in()
    person.now += 2 * MINUTE
    assert ceremonies.sweep(person.now) == 1
    assert person.take(kept, Purpose.SIGN_IN)


# One's passkeys


def test_the_last_passkey_cannot_be_removed(person: Person) -> None:
    first = person.enrol()
    with pytest.raises(LastPasskey):
        passkeys.remove(first.passkey_id, clock.now(), person_id=person.holder.holder_id)
    second = person.add()
    passkeys.remove(first.passkey_id, clock.now(), person_id=person.holder.holder_id)
    with pytest.raises(LastPasskey):
        passkeys.remove(second.passkey_id, clock.now(), person_id=person.holder.holder_id)
    assert [p.passkey_id for p in passkeys.passkeys_of(person.holder.holder_id)] == [second.passkey_id]


def test_nobody_touches_the_passkeys_of_others(person: Person) -> None:
    mine = person.enrol()
    person.add()
    other = Person(factories.holder(person.now, factories.OTHER_PERSON, "梁志文"), person.now)
    other.enrol()
    with pytest.raises(NotFound):
        passkeys.remove(mine.passkey_id, clock.now(), person_id=other.holder.holder_id)
    with pytest.raises(NotFound):
        passkeys.rename(mine.passkey_id, "偷来的", person_id=other.holder.holder_id)
    assert len(passkeys.passkeys_of(person.holder.holder_id)) == 2


def test_names(person: Person) -> None:
    made = person.enrol()
    passkeys.rename(made.passkey_id, "  我的   手机 ", person_id=person.holder.holder_id)
    assert passkeys.get(made.passkey_id, person_id=person.holder.holder_id).name == "我的 手机"
    for wrong in ("", "   ", "长" * 61, "a\x00b", "a\u202eb"):
        with pytest.raises(InvalidName):
            passkeys.rename(made.passkey_id, wrong, person_id=person.holder.holder_id)


def test_recovery_replaces_all_passkeys_and_may_use_the_same_device(person: Person) -> None:
    person.enrol()
    person.add()
    recovered = person.enrol(recovery=True)
    assert recovered.replaces_all
    assert [p.passkey_id for p in passkeys.passkeys_of(person.holder.holder_id)] == [recovered.passkey_id]
    with pytest.raises(UnknownPasskey):
        person.sign_in(use=0)


def test_a_plain_further_code_keeps_the_earlier_passkeys(person: Person) -> None:
    person.enrol()
    old, person.device = person.device, SoftAuthenticator()
    assert not person.enrol().replaces_all
    person.device = old
    assert person.sign_in().person_id == person.holder.holder_id
    assert len(passkeys.passkeys_of(person.holder.holder_id)) == 2


# Garbage


def _damaged(answer: dict[str, Any]) -> Iterator[object]:
    """Things that are no answer, and answers with one thing wrong."""
    yield from (None, [], "", 7, {}, {"response": {}}, json.dumps(answer))
    for key in ("id", "rawId", "type", "response"):
        for value in (None, 7, [], {}, "", "****", "é", "A" * 5000, {"a": [1]}):
            yield answer | {key: value}
    for key in answer["response"].keys() - {"transports"}:  # unknown transports are ignored: they only help browsers
        for value in (None, 7, [], {}, "", "****", "e30", "bnVsbA", "gICA", encode(b"\xff" * 60), "A" * 5000):
            yield answer | {"response": answer["response"] | {key: value}}
    for client_data in (b"null", b"[]", b"7", b"{", b'{"type":[],"challenge":{},"origin":1}', b"\xff\xfe", b"[" * 9000):
        yield answer | {"response": answer["response"] | {"clientDataJSON": encode(client_data)}}


def test_garbage_raises_nothing_foreign(person: Person) -> None:
    invited = person.begin_enrolment(passkeys.issue_enrolment_code(person.holder, person.now))
    made = SoftAuthenticator().create(invited.options, ORIGIN)
    taken = person.take(invited, Purpose.ENROL)
    for broken in _damaged(made):
        with pytest.raises(PasskeyError):
            passkeys.finish_enrolment(taken, broken, person.now, party=PARTY)
    person.enrol()
    begun = person.begin_sign_in()
    answer = person.device.get(begun.options, ORIGIN)
    signing_in = person.take(begun, Purpose.SIGN_IN)
    for broken in _damaged(answer):
        with pytest.raises(PasskeyError):
            passkeys.finish_sign_in(signing_in, broken, person.now, party=PARTY)
    assert passkeys.finish_sign_in(signing_in, answer, person.now, party=PARTY)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.binary(max_size=200))
def test_random_attestations_raise_nothing_foreign(data: bytes) -> None:
    taken = ceremonies.TakenCeremony(purpose=Purpose.ENROL, challenge=b"x" * 32, person_id="hld_x", code_digest=None)
    client_data = {"type": "webauthn.create", "challenge": encode(b"x" * 32), "origin": ORIGIN}
    response = {"clientDataJSON": encode(json.dumps(client_data).encode()), "attestationObject": encode(data)}
    credential = {"id": "eA", "rawId": "eA", "type": "public-key", "response": response}
    with pytest.raises(PasskeyError):
        passkeys.finish_enrolment(taken, credential, dt.datetime.now(dt.UTC), party=PARTY)


@pytest.mark.parametrize(
    ("issuer", "origin"),
    [
        ("https://id.example.gov.cn", "https://id.example.gov.cn"),
        ("https://id.example.gov.cn:443", "https://id.example.gov.cn"),
        ("https://id.example.gov.cn:8443", "https://id.example.gov.cn:8443"),
        ("https://id.example.gov.cn/space", "https://id.example.gov.cn"),
        ("https://ID.Example.gov.cn", "https://id.example.gov.cn"),
        ("http://localhost:8000", "http://localhost:8000"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_the_origin_is_the_one_that_browsers_name(issuer: str, origin: str) -> None:
    assert RelyingParty.of(make_settings("sqlite://", issuer=issuer)).origin == origin
