"""Wrapping keys: rotation while the service runs, keys in a file and elsewhere, what older copies can still open."""

import base64
import contextlib
import datetime as dt
import io
import itertools
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask.cli import ScriptInfo
from sqlalchemy import event, select, update

from consent.interventions import OperatorEvent
from consent.web.wrapping_commands import PLACES
from dataspace import holders, key_file, measured, rewrapping, vault
from dataspace.db import db
from dataspace.errors import Conflict, NotFound, SettingsError
from dataspace.key_file import FileKeys
from dataspace.measured import Measured
from dataspace.sealing import Unreadable
from dataspace.settings import Settings
from dataspace.vault import DataKey
from dataspace.web.shell import services
from dataspace.wrapping import KeyProvider, Keys, WrappingKey
from tests import factories
from tests.conftest import make_settings
from tests.consent import reading
from wsgi import create_app

Run = Callable[..., Result]
FIRST, SECOND = WrappingKey(b"w" * 32), WrappingKey(b"x" * 32)  # the first one is that of the tests' settings
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def run(app: Flask) -> Run:
    def invoke(*words: str, status: int = 0) -> Result:
        result = app.test_cli_runner().invoke(args=["wrapping-keys", *words])
        assert result.exit_code == status, result.output
        return result

    return invoke


@pytest.fixture
def path(tmp_path: Path, now: dt.datetime) -> Path:
    file = tmp_path / "keys"
    key_file.write(file, [WrappingKey(FIRST.secret, now - 2 * HOUR)])
    return file


@pytest.fixture
def by_file(app: Flask, path: Path) -> FileKeys:
    """The service takes its keys from a file."""
    keys = FileKeys(path)
    use(keys)
    return keys


def use(keys: KeyProvider) -> None:
    """The service takes its keys from here."""
    services().vault.keys = keys
    assert factories.registry().vault is services().vault


def names() -> set[str]:
    """Which keys have wrapped what there is."""
    db.session.rollback()
    keys = services().vault.keys
    return {name for place in PLACES for batch in rewrapping.look(place, keys) for name in batch}


# What a provider is


def test_what_it_wraps_opens_for_the_same_row_only() -> None:
    keys = Keys([SECOND, FIRST])
    wrapped = keys.wrap(b"secret", identity="spc_a")
    assert keys.name_of(wrapped) == keys.current() == SECOND.name
    assert keys.unwrap(wrapped, identity="spc_a") == b"secret"
    older = Keys([FIRST]).wrap(b"older", identity="spc_a")
    assert keys.unwrap(older, identity="spc_a") == b"older"
    for spoilt, identity in [
        (wrapped, "spc_b"),
        (wrapped[:-1] + bytes([wrapped[-1] ^ 1]), "spc_a"),
        (FIRST.prefix + wrapped[8:], "spc_a"),
        (b"", "spc_a"),
        (wrapped[:10], "spc_a"),
    ]:
        with pytest.raises(Unreadable):
            keys.unwrap(spoilt, identity=identity)
    with pytest.raises(Unreadable):
        Keys([FIRST]).unwrap(wrapped, identity="spc_a")


def test_a_name_tells_nothing_and_a_key_is_not_shown() -> None:
    assert FIRST.secret.hex()[:16] != FIRST.name
    assert "www" not in repr(FIRST)


class Vendor(Keys):
    """As somebody would write one for a hardware module."""

    def __init__(self) -> None:
        super().__init__([SECOND])


def test_a_provider_of_somebody_elses(database_url: str) -> None:
    named = {"wrapping_key": b"", "key_provider": f"{__name__}:Vendor"}
    assert vault.provider(make_settings(database_url, **named)).current() == SECOND.name


@pytest.mark.parametrize("name", ["nowhere:it", f"{__name__}:absent", "pathlib:Path", "a b", f"{__name__}:FIRST"])
def test_what_is_no_provider_is_said_at_start(name: str, database_url: str) -> None:
    with pytest.raises(SettingsError, match="DATASPACE_KEY_PROVIDER"):
        vault.provider(make_settings(database_url, wrapping_key=b"", key_provider=name))


# Keys in a file


def test_a_new_key_is_in_use_everywhere_at_once(path: Path, now: dt.datetime) -> None:
    here, elsewhere = FileKeys(path), FileKeys(path)
    old = elsewhere.wrap(b"old", identity="spc_a")
    added = here.add(now)
    assert here.current() == elsewhere.current() == added.name
    wrapped = here.wrap(b"new", identity="spc_a")
    assert elsewhere.unwrap(wrapped, identity="spc_a") == b"new"
    assert elsewhere.unwrap(old, identity="spc_a") == b"old"
    assert [key.name for key in elsewhere.all()] == [added.name, FIRST.name]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_key_goes_when_it_has_not_wrapped_for_an_hour(path: Path, now: dt.datetime) -> None:
    keys = FileKeys(path)
    old = keys.wrap(b"old", identity="spc_a")
    added = keys.add(now)
    for name, moment, error in [
        (FIRST.name, now + HOUR - dt.timedelta(seconds=2), Conflict),
        ("0" * 16, now, NotFound),
    ]:
        with pytest.raises(error):
            keys.remove(name, moment)
    with pytest.raises(Conflict, match="rotate first"):
        keys.remove(added.name, now + HOUR)
    keys.remove(FIRST.name, now + HOUR)
    with pytest.raises(Unreadable):
        FileKeys(path).unwrap(old, identity="spc_a")


SECRET = base64.urlsafe_b64encode(b"s" * 32).decode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no key in it"),
        ("2026-11-01T00:00:00Z\n", "line 1 is not"),
        (f"2026-11-01T00:00:00Z {SECRET}\nyesterday {SECRET}\n", "line 2 is not"),
        ("2026-11-01T00:00:00Z c2hvcnQ\n", "line 1 does not have 32 bytes"),
        (f"2026-11-01T00:00:00Z {SECRET} more\n", "line 1 is not"),
        ("\x00\xff\n", "line 1 is not"),
    ],
)
def test_a_file_that_is_none(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(text, encoding="latin-1")
    file.chmod(0o600)
    with pytest.raises(SettingsError, match=said) as error:
        FileKeys(file)
    assert SECRET not in error.value.detail


def test_a_file_that_everybody_can_read_or_nobody_finds(path: Path) -> None:
    path.chmod(0o604)
    with pytest.raises(SettingsError, match="others"):
        FileKeys(path)
    with pytest.raises(SettingsError, match="No such file"):
        FileKeys(path.with_name("absent"))


# Rotation


class Terminal(io.StringIO):
    """A screen: progress bars show themselves only there."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def elsewhere(database_url: str, path: Path) -> Iterator[Flask]:
    """Another process of the service, with the same database and the same file of keys, which it has read before."""
    other = create_app(make_settings(database_url, wrapping_key=b"", wrapping_key_file=str(path)))
    yield other
    with other.app_context():
        db.engine.dispose()


def test_rotation_while_the_service_runs_elsewhere(
    by_file: FileKeys, elsewhere: Flask, app: Flask, run: Run, now: dt.datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = factories.world(now)
    for identifier in (factories.OTHER_PERSON, factories.LEGAL_REP, factories.AGENT):
        factories.holder(now, identifier)
    db.session.commit()
    token = reading.token_for(world.consent, now)
    db.session.commit()
    before = reading.read(token, None, now).items
    db.session.rollback()
    monkeypatch.setattr(rewrapping, "BATCH", 2)
    service = elsewhere.test_client()
    answered: list[tuple[int, Any, frozenset[str]]] = []

    def read_elsewhere(session: Any) -> None:
        """After each batch of the command, and after nothing that follows from this."""
        if session is not rotating:
            return
        answer = service.get("/api/v1/data", headers={"Authorization": f"Bearer {token}"})
        with elsewhere.app_context():
            secrets = db.session.scalars(select(DataKey.wrapped).order_by(DataKey.space_id)).all()
            wrapped_by = frozenset(services().vault.keys.name_of(secret) for secret in secrets if secret)
        answered.append((answer.status_code, answer.json["items"][0]["fields"]["school"], wrapped_by))

    screen = Terminal()
    with app.app_context(), contextlib.redirect_stdout(screen):
        rotating = db.session()
        event.listen(rotating, "after_commit", read_elsewhere)
        args = ["wrapping-keys", "rotate", "--text", "yearly"]
        app.cli.main(args=args, obj=ScriptInfo(create_app=lambda: app), standalone_mode=False)
        event.remove(rotating, "after_commit", read_elsewhere)
    said = screen.getvalue()
    wrapped = sum(place.count() for place in PLACES)
    assert f"{wrapped} of {wrapped} secrets wrapped anew" in said
    assert {answer[:2] for answer in answered} == {(200, "示例大学")}
    assert len(answered) > wrapped / 2
    old, new = {FIRST.name}, {by_file.current()}
    assert [names for names, _same in itertools.groupby(answer[2] for answer in answered)] == [old | new, new]
    shown = [int(percent) for percent in re.findall(r"Wrapping .*?(\d+)%", said)]
    assert shown == sorted(shown)
    assert len(set(shown)) >= len(answered) - 1
    assert shown[-1] == 100

    assert names() == new != old
    assert reading.read(token, None, now).items == before
    assert {p.name for p in holders.profiles({world.person.holder_id}, vault=services().vault).values()} == {"陈嘉怡"}
    last = db.session.scalars(select(OperatorEvent).order_by(OperatorEvent.event_id.desc()).limit(1)).one()
    assert (last.kind, last.actor_id) == ("wrapping_keys:rotated", "command")
    assert measured.times()[Measured.ROTATION].count == 1
    assert last.text.startswith(f"yearly: {wrapped} of {wrapped} secrets wrapped anew in ")
    current, older = run("list").output.splitlines()[-2:]
    assert current.split()[0] == by_file.current()
    assert current.split()[3:] == [str(wrapped), "wraps"]
    assert older.split()[3:] == ["0"]
    assert "0 of" in run("rewrap").output


def test_an_older_copy_of_the_database_opens_nothing_once_the_key_is_forgotten(
    by_file: FileKeys, run: Run, now: dt.datetime
) -> None:
    person = factories.holder(now)
    db.session.commit()
    copy = db.session.scalar(select(DataKey.wrapped).filter_by(space_id=person.space_id))
    services().vault.destroy_key(person.space_id, now)
    db.session.commit()
    assert by_file.unwrap(copy, identity=person.space_id)  # a backup from before, as long as the key is there
    run("rotate")
    assert "can go from" in run("forget", FIRST.name, "--yes", status=1).output
    first, second = by_file.all()
    key_file.write(by_file.path, [WrappingKey(first.secret, now - 2 * HOUR), second])
    assert "is forgotten" in run("forget", FIRST.name, "--yes").output
    with pytest.raises(Unreadable):
        FileKeys(by_file.path).unwrap(copy, identity=person.space_id)
    assert names() == {by_file.current()}


def test_a_key_that_is_needed_is_not_forgotten(by_file: FileKeys, run: Run, now: dt.datetime) -> None:
    factories.holder(now)
    db.session.commit()
    by_file.add(now - HOUR)
    assert "are still wrapped by it" in run("forget", FIRST.name, "--yes", status=1).output
    assert "Aborted" in run("forget", FIRST.name, status=1).output
    run("rewrap")
    run("forget", FIRST.name, "--yes")


def test_a_key_that_was_destroyed_meanwhile_stays_destroyed(app: Flask, now: dt.datetime) -> None:
    kept, erased = factories.holder(now), factories.holder(now, factories.OTHER_PERSON)
    db.session.commit()
    use(Keys([SECOND, FIRST]))
    keys = services().vault.keys
    place = rewrapping.DATA_KEYS
    real = keys.wrap

    class Erasing(Keys):
        """Somebody destroys a key between our reading and our writing."""

        def wrap(self, secret: bytes, *, identity: str) -> bytes:
            db.session.execute(update(DataKey).filter_by(space_id=erased.space_id).values(wrapped=None))
            return real(secret, identity=identity)

    assert sum(batch.total() for batch in rewrapping.rewrap(place, Erasing([SECOND, FIRST]))) == 2
    db.session.commit()
    assert services().vault.key(kept.space_id)
    with pytest.raises(Unreadable):
        services().vault.key(erased.space_id)


def test_one_secret_that_does_not_open_stops_it_and_loses_nothing(app: Flask, run: Run, now: dt.datetime) -> None:
    person = factories.holder(now)
    db.session.execute(update(DataKey).filter_by(space_id=person.space_id).values(wrapped=b"spoilt" * 10))
    db.session.commit()
    use(Keys([SECOND, FIRST]))
    assert "wrapped by a key that is not here" in run("rewrap", status=1).output
    assert FIRST.name in names()


def test_keys_of_the_settings_are_changed_there(app: Flask, run: Run, settings: Settings, now: dt.datetime) -> None:
    factories.holder(now)
    db.session.commit()
    assert "not in a file" in run("rotate", status=1).output
    assert "not in a file" in run("forget", FIRST.name, "--yes", status=1).output
    changed = make_settings(settings.database_url, wrapping_key=SECOND.secret, other_wrapping_keys=(FIRST.secret,))
    use(vault.provider(changed))
    run("rewrap")
    assert names() == {SECOND.name}
