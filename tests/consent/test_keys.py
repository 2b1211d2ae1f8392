"""Server keys: published before use, kept until their last signature expires, changed under a running application."""

import datetime as dt

import pytest
import sqlalchemy as sa
from flask import Flask

from consent import keys
from consent.keys import Keyring, KeyUse, ServerKey
from dataspace import clock, jose, jwk
from dataspace.db import db
from dataspace.errors import Conflict
from dataspace.sealing import Unreadable
from dataspace.settings import Settings
from dataspace.vault import Vault
from dataspace.wrapping import Keys, WrappingKey
from wsgi import create_app

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
SECOND = dt.timedelta(seconds=1)
VAULT = Vault(Keys([WrappingKey(b"v" * 32)]))


@pytest.fixture
def bare(app: Flask) -> None:
    """An installation whose keys have not been generated."""
    db.session.execute(sa.delete(ServerKey))


@pytest.fixture
def ring(bare: None) -> Keyring:
    """The keys of an application that has one of each use (with one algorithm each: RSA keys are slow to make)."""
    keys.generate("ES256", KeyUse.TOKENS, NOW, VAULT)
    keys.generate("ES256", KeyUse.ID_TOKEN, NOW, VAULT)
    keys.generate("ES256", KeyUse.RECORDS, NOW, VAULT)
    return Keyring(VAULT)


def kids(ring: Keyring, now: dt.datetime) -> list[str]:
    return [jwk["kid"] for jwk in ring.public_jwk_set(now)["keys"]]


def in_use(ring: Keyring, purpose: str, now: dt.datetime) -> str | None:
    return ring.signing_key(purpose, now, "ES256").kid


def test_the_first_keys_are_those_that_clients_expect(bare: None) -> None:
    made = keys.generate_missing(NOW, VAULT)
    ring = Keyring(VAULT)
    assert len(made) == 8
    assert ring.signing_key("tokens", NOW).alg == "ES256"
    assert ring.signing_key("tokens", NOW, "RS256").alg == "RS256"
    assert ring.signing_key("records", NOW).alg == "ES256"
    assert ring.signing_key("id_token", NOW).alg == "RS256"
    assert ring.signing_key("id_token", NOW, "PS256").alg == "PS256"
    assert len({ring.signing_key("id_token", NOW, alg).kid for alg in ("RS256", "ES256", "PS256")}) == 3
    assert keys.generate_missing(NOW, VAULT) == []


def test_the_set_is_public_and_well_formed(ring: Keyring) -> None:
    document = ring.public_jwk_set(NOW)
    parsed = jose.parse_jwk_set(document)
    assert [key.kid for key in parsed] == [key.thumbprint for key in parsed]
    assert {frozenset(jwk) for jwk in document["keys"]} == {frozenset({"kty", "crv", "x", "y", "kid", "alg", "use"})}


def test_what_is_signed_verifies_with_the_published_set(ring: Keyring) -> None:
    key = ring.signing_key("tokens", NOW)
    token = jose.sign({"iss": "us"}, key, typ="at+jwt")
    theirs = jose.parse_jwk_set(ring.public_jwk_set(NOW))
    for source in (theirs, ring.verification_key(str(key.kid), purpose="tokens", now=NOW)):
        jose.verify_bytes(token, source, algorithms={"ES256"}, expected_typ="at+jwt")


def test_a_key_of_one_use_is_not_known_for_another(ring: Keyring) -> None:
    kid = str(in_use(ring, "tokens", NOW))
    for other in ("id_token", "records"):
        with pytest.raises(jose.UnknownKey):
            ring.verification_key(kid, purpose=other, now=NOW)


def test_private_halves_are_wrapped_and_bound_to_their_key(ring: Keyring) -> None:
    first, second = db.session.scalars(sa.select(ServerKey).order_by(ServerKey.kid).limit(2)).all()
    assert first.wrapped_private
    assert second.wrapped_private
    with pytest.raises(jose.InvalidToken):
        jose.load_private_key(first.wrapped_private)
    second.wrapped_private = first.wrapped_private
    db.session.flush()
    with pytest.raises(Unreadable):
        Keyring(VAULT).signing_key(second.purpose, NOW, second.alg)


def test_a_rotation_minute_by_minute(ring: Keyring) -> None:
    """One key ring throughout: what every running worker sees, without a restart."""
    old = str(in_use(ring, "tokens", NOW))
    nexts = {key.purpose: key.kid for key in keys.rotate(NOW, VAULT)}
    new = nexts["tokens"]

    # Published within the age of the ring, long before it is used.
    read_again = NOW + keys.RING_AGE
    assert {old, new} <= set(kids(ring, read_again))
    assert in_use(ring, "tokens", read_again) == old

    # The handover: at one moment, and the old key still verifies.
    handover = NOW + keys.OVERLAP
    assert in_use(ring, "tokens", handover - SECOND) == old
    assert in_use(ring, "tokens", handover) == new
    assert ring.verification_key(old, purpose="tokens", now=handover)
    assert {old, new} <= set(kids(ring, handover))

    # The old key leaves the set when its last signature is worth nothing.
    gone = handover + dt.timedelta(hours=1)
    assert old in kids(ring, gone - SECOND)
    assert old not in kids(ring, gone)
    with pytest.raises(jose.UnknownKey):
        ring.verification_key(old, purpose="tokens", now=gone)
    assert in_use(ring, "tokens", gone) == new


def test_record_keys_stay_published_for_ever(ring: Keyring) -> None:
    old = str(in_use(ring, "records", NOW))
    keys.rotate(NOW, VAULT)
    much_later = NOW + dt.timedelta(days=365 * 30)
    assert in_use(ring, "records", much_later) != old
    assert old in kids(ring, much_later)
    assert ring.verification_key(old, purpose="records", now=much_later)


def test_an_id_token_is_known_again_for_a_day(ring: Keyring) -> None:
    old = str(in_use(ring, "id_token", NOW))
    keys.rotate(NOW, VAULT)
    retired = NOW + keys.OVERLAP
    assert ring.verification_key(old, purpose="id_token", now=retired + dt.timedelta(hours=23))
    with pytest.raises(jose.UnknownKey):
        ring.verification_key(old, purpose="id_token", now=retired + dt.timedelta(hours=24))


def test_a_key_is_in_every_cache_before_it_signs() -> None:
    assert keys.OVERLAP > keys.JWKS_MAX_AGE + keys.RING_AGE
    longest_lived_token = dt.timedelta(minutes=10)
    assert all(kept is None or kept > longest_lived_token for kept in keys.KEPT.values())


def test_a_second_rotation_waits_for_the_first(ring: Keyring) -> None:
    keys.rotate(NOW, VAULT)
    with pytest.raises(Conflict):
        keys.rotate(NOW + SECOND, VAULT)
    assert len(keys.rotate(NOW + keys.OVERLAP, VAULT)) == 3


def test_there_is_one_current_key_for_each_use_and_algorithm(ring: Keyring) -> None:
    with pytest.raises(Conflict):
        keys.generate("ES256", "tokens", NOW, VAULT)
    twin = {"kid": "k", "alg": "ES256", "purpose": "tokens", "public_jwk": {}, "created_at": NOW, "active_from": NOW}
    with pytest.raises(sa.exc.IntegrityError):
        db.session.execute(sa.insert(ServerKey), [twin])


def test_private_halves_of_retired_keys_are_destroyed(ring: Keyring) -> None:
    old = str(in_use(ring, "records", NOW))
    keys.rotate(NOW, VAULT)
    retired = NOW + keys.OVERLAP
    assert keys.destroy_retired(retired - SECOND) == 0
    assert keys.destroy_retired(retired) == 3
    assert keys.destroy_retired(retired) == 0
    for fresh in (ring, Keyring(VAULT)):
        assert in_use(fresh, "records", retired) != old
        assert ring.verification_key(old, purpose="records", now=retired)


def test_without_keys_nothing_is_signed(bare: None) -> None:
    ring = Keyring(VAULT)
    with pytest.raises(keys.NoKey):
        ring.signing_key("tokens", NOW)
    assert ring.public_jwk_set(NOW) == {"keys": []}
    keys.generate("ES256", "tokens", NOW, VAULT)
    assert ring.signing_key("tokens", NOW), "the first key is found at once"


def test_the_table_is_read_once_in_a_while(ring: Keyring) -> None:
    statements: list[str] = []
    engine = db.engine
    sa.event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    for tenths in range(299):
        now = NOW + dt.timedelta(seconds=tenths / 10)
        ring.signing_key("tokens", now)
        ring.public_jwk_set(now)
    assert len(statements) == 1
    for hundredths in range(100):
        with pytest.raises(jose.UnknownKey):
            ring.verification_key(
                "no such kid", purpose="tokens", now=NOW + dt.timedelta(seconds=10 + hundredths / 100)
            )
    assert len(statements) == 2, "a stranger's kid makes us look once a second at most"


def test_a_clock_that_goes_backwards_brings_no_key_back(ring: Keyring) -> None:
    in_use(ring, "tokens", NOW + dt.timedelta(seconds=5))
    assert in_use(ring, "tokens", NOW)
    with pytest.raises(keys.NoKey):
        in_use(ring, "tokens", NOW - SECOND)


def test_records_are_signed_although_the_clock_was_set_back(ring: Keyring) -> None:
    first = in_use(ring, "records", NOW)
    assert in_use(Keyring(VAULT), "records", NOW - 400 * dt.timedelta(days=1)) == first, "before there were keys"
    keys.rotate(NOW, VAULT)
    retired = NOW + keys.OVERLAP
    second = in_use(Keyring(VAULT), "records", retired)
    keys.destroy_retired(retired)
    assert in_use(Keyring(VAULT), "records", NOW) == second != first, "the first one cannot sign any more"
    with pytest.raises(keys.NoKey):
        in_use(Keyring(VAULT), "tokens", NOW)


def test_breaks_16_keys_rotate_with_the_process_running(app: Flask, settings: Settings, now: dt.datetime) -> None:
    """One process rotates by command; another, which runs on, publishes, signs and verifies accordingly."""
    running: Keyring = app.extensions["consent"].keyring
    old = {key["kid"] for key in running.public_jwk_set(now)["keys"]}
    first = running.signing_key(KeyUse.ID_TOKEN, now)
    signed = jose.sign({"iss": "us"}, first, typ="JWT")

    other = create_app(settings)
    run = other.test_cli_runner().invoke(args=["keys", "rotate", "--text", "yearly"])
    assert run.exit_code == 0, run.output
    with other.app_context():
        db.engine.dispose()

    db.session.rollback()  # the next request has a transaction of its own
    noticed = clock.now() + keys.RING_AGE
    published = running.public_jwk_set(noticed)["keys"]
    kids = [key["kid"] for key in published]
    assert len(kids) == len(set(kids)) == 2 * len(old), "old and new, each once"
    assert old < set(kids)
    assert not any(jwk.PRIVATE_MEMBERS & key.keys() for key in published)
    assert running.signing_key(KeyUse.ID_TOKEN, noticed).kid == first.kid, "the new one is not in every cache yet"

    rotated = db.session.scalar(sa.select(sa.func.max(ServerKey.active_from)))
    assert rotated is not None
    handover = rotated + SECOND  # making the keys takes its time
    second = running.signing_key(KeyUse.ID_TOKEN, handover)
    assert second.kid not in old
    assert jose.read(jose.sign({}, second, typ="JWT")).header["kid"] == second.kid
    theirs = jose.parse_jwk_set(running.public_jwk_set(handover))
    jose.verify_bytes(signed, theirs, algorithms={first.alg}, expected_typ="JWT")
    long_after = handover + dt.timedelta(days=1)
    assert first.kid not in {key["kid"] for key in running.public_jwk_set(long_after)["keys"]}
