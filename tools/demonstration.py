"""Settings, database, keys and people of a demonstration. Doing it twice keeps what is there."""

import base64
import contextlib
import datetime as dt
import io
import json
import secrets
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import click
from flask import current_app
from flask.cli import FlaskGroup

from consent import evidence
from dataspace import clock, demonstration, guardians, passkeys
from dataspace.db import db
from dataspace.holders import Holder, HolderKind
from dataspace.settings import Settings
from dataspace.web.shell import services
from examples.bank import keys
from tools import law
from tools.processes import ROOT, Command, DemonstrationError, granian
from tools.registries import NAMES
from wsgi import create_app

DATA = ROOT / "demonstration"
BANK_CLIENT_ID = "lingnan-bank"
HOSPITAL_CLIENT_ID = "peoples-hospital"
ADMINISTRATOR = "lin-jing"


@dataclass(frozen=True)
class Demonstration:
    """Where a demonstration keeps its files and listens. ``environment``: the service's settings."""

    folder: Path
    port: int
    bank_port: int
    environment: Mapping[str, str]

    @property
    def issuer(self) -> str:
        """The service's address."""
        return issuer(self.port)

    @property
    def bank_url(self) -> str:
        """The bank's address."""
        return f"http://localhost:{self.bank_port}"

    @property
    def bank_keys(self) -> Path:
        """The file of the bank's private keys."""
        return self.folder / "bank-keys.json"

    @property
    def counter_port(self) -> int:
        """Where the hospital's counter listens: after the registries, which listen after the bank."""
        return self.bank_port + 1 + len(NAMES)

    @property
    def counter_url(self) -> str:
        """The counter's address."""
        return f"http://localhost:{self.counter_port}"

    @property
    def hospital_keys(self) -> Path:
        """The file of the hospital's private keys."""
        return self.folder / "hospital-keys.json"


@dataclass(frozen=True)
class Person:
    """Somebody who can sign in; ``code`` is a fresh enrolment code, None when the person has a passkey."""

    name: str
    about: str
    code: str | None


def issuer(port: int) -> str:
    """The issuer of a demonstration: passkeys need localhost or https."""
    return f"http://localhost:{port}"


def at(folder: Path, port: int, bank_port: int, database_url: str = "") -> Demonstration:
    """The demonstration in a folder, made on first use; its secrets stay, its addresses follow the ports.

    Raises DemonstrationError when its secrets are gone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "demo.env"
    if not path.exists() and (folder / "demo.sqlite").exists():
        # The database is sealed under keys that were in that file.
        raise DemonstrationError(f"{path} is gone, and {folder}/demo.sqlite is of no use without it: remove {folder}.")
    environment = _fresh_settings() | (_read(path) if path.exists() else {})
    # Not kept: the ports may have changed, and the folder may have been moved.
    environment["DATASPACE_ISSUER"] = issuer(port)
    environment["DATASPACE_DATABASE_URL"] = database_url or f"sqlite:///{folder.resolve()}/demo.sqlite"
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in environment.items()), "utf-8")
    return Demonstration(folder, port, bank_port, environment)


def prepare(demo: Demonstration) -> None:
    """Migrate, load everything, register the keys of the bank and the hospital. Raises DemonstrationError."""
    bank_jwks, hospital_jwks = demo.folder / "bank-jwks.json", demo.folder / "hospital-jwks.json"
    bank_jwks.write_text(json.dumps(keys.public_jwks(demo.bank_keys)), "utf-8")
    hospital_jwks.write_text(json.dumps(keys.public_jwks(demo.hospital_keys)), "utf-8")
    # The scenario file names the bank's usual address.
    scenarios = demo.folder / "scenarios.toml"
    written = (DATA / "scenarios.toml").read_text("utf-8")
    scenarios.write_text(written.replace("http://localhost:8001/", f"{demo.bank_url}/"), "utf-8")
    app = create_app(_settings(demo))
    flask = FlaskGroup(create_app=lambda: app)
    for arguments in (
        ["db", "upgrade", "--directory", str(ROOT / "migrations")],
        ["catalogue", "load", str(DATA / "catalogue")],
        ["demonstration", "load", "--folder", str(DATA)],
        ["scenarios", "load", str(scenarios)],
        ["sources", "load", str(_sources(demo))],
        ["rules", "load", str(DATA / "rules.toml")],
        ["powers", "load", str(DATA / "powers.toml")],
        ["keys", "generate"],
        ["clients", "keys", BANK_CLIENT_ID, "--jwks", str(bank_jwks)],
        ["clients", "keys", HOSPITAL_CLIENT_ID, "--jwks", str(hospital_jwks)],
    ):
        _run(flask, arguments)
    with app.app_context():
        _read_by_law()
        db.engine.dispose()


def people(demo: Demonstration) -> list[Person]:
    """Everybody who can sign in, in the order of the data file; codes only for those without a passkey."""
    app = create_app(_settings(demo))
    with app.app_context():
        now = clock.now()
        contents = demonstration.read(DATA, now.date())
        found, _added = demonstration.add_holders(contents, now, vault=services().vault, index=services().index)
        persons = [
            Person(entry["name"], entry["about"]["zh_hans"], _code(found[entry["key"]], now))
            for entry in contents.people
            if entry["kind"] == HolderKind.NATURAL_PERSON and _decides(found[entry["key"]], now)
        ]
        db.session.commit()
        db.engine.dispose()
    return persons


def commands(demo: Demonstration, *, workers: int = 2) -> list[Command]:
    """The three processes: the service, its background worker, the bank."""
    bank = {
        "BANK_ISSUER": demo.issuer,
        "BANK_URL": demo.bank_url,
        "BANK_CLIENT_ID": BANK_CLIENT_ID,
        "BANK_KEYS": str(demo.bank_keys),
        "BANK_DATABASE": str(demo.folder / "bank.sqlite"),
    }
    return [
        Command(
            "service",
            granian("wsgi:create_app", demo.port, workers=workers),
            demo.environment,
            f"{demo.issuer}/readyz",
        ),
        Command("worker", [sys.executable, "-m", "flask", "--app", "wsgi", "worker"], demo.environment),
        Command(
            "bank",
            granian("examples.bank.app:create_bank", demo.bank_port, workers=1, threads=2),
            bank,
            f"{demo.bank_url}/healthz",
        ),
    ]


def counter(demo: Demonstration) -> Command:
    """The screen at the counter of the hospital."""
    hospital = {
        "COUNTER_ISSUER": demo.issuer,
        "COUNTER_CLIENT_ID": HOSPITAL_CLIENT_ID,
        "COUNTER_KEYS": str(demo.hospital_keys),
    }
    factory = "examples.hospital.counter:create_counter"
    return Command("counter", granian(factory, demo.counter_port, workers=1), hospital, f"{demo.counter_url}/healthz")


def watched(demo: Demonstration) -> tuple[Demonstration, Command]:
    """The demonstration with a witness of its log of evidence, and the witness: on the port after the counter's.

    Like everything here it only shows how it works: a witness under the same hands proves nothing.

    Raises DemonstrationError.
    """
    folder, program, port = demo.folder / "witness", str(ROOT / "verifier" / "witness.py"), demo.counter_port + 1
    app = create_app(_settings(demo))
    with app.app_context():
        evidence.create(evidence.origin_of(demo.issuer), clock.now(), services().vault)
        db.session.commit()
        log = evidence.head().verifier
        db.session.remove()
        db.engine.dispose()
    if not folder.exists():
        _witness(program, "make", str(folder), "witness.localhost")
    key = _witness(program, "key", str(folder))
    settings = {"DATASPACE_WITNESSES": f"{key} http://localhost:{port}"}
    serve = [sys.executable, program, "serve", str(folder), "--log", log, "--port", str(port)]
    command = Command("witness", serve, {}, f"http://localhost:{port}/healthz")
    return replace(demo, environment={**demo.environment, **settings}), command


def _witness(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise DemonstrationError(f"The witness: {done.stderr.strip()}")
    return done.stdout.strip()


def registries(demo: Demonstration) -> list[Command]:
    """The five base registries, on the ports after the bank's."""
    return [
        Command(
            f"register {name}",
            [sys.executable, "-m", "tools.registries", name, str(demo.bank_port + n)],
            {},
            f"http://localhost:{demo.bank_port + n}/records",
        )
        for n, name in enumerate(NAMES, start=1)
    ]


def _read_by_law() -> None:
    """The power of the data file is approved, and the tax bureau has used it once."""
    now = clock.now()
    found, _added = demonstration.add_holders(
        demonstration.read(DATA, now.date()), now, vault=services().vault, index=services().index
    )
    law.play(found[ADMINISTRATOR], now, registry=current_app.extensions["consent"])
    db.session.commit()


def _sources(demo: Demonstration) -> Path:
    """The source file with the registries' addresses of this demonstration: it names the usual ones."""
    written = (DATA / "sources.toml").read_text("utf-8")
    for n in range(1, len(NAMES) + 1):
        written = written.replace(f"http://localhost:{8001 + n}/", f"http://localhost:@{demo.bank_port + n}/")
    path = demo.folder / "sources.toml"
    path.write_text(written.replace("localhost:@", "localhost:"), "utf-8")
    return path


def _fresh_settings() -> dict[str, str]:
    return {
        "DATASPACE_MODE": "development",
        "DATASPACE_WRAPPING_KEY": _key(),
        "DATASPACE_INDEX_KEY": _key(),
        "DATASPACE_SECRET_KEY": secrets.token_urlsafe(32),
        "DATASPACE_FETCH_LOOPBACK": "true",
        "DATASPACE_LOG_LEVEL": "WARNING",  # INFO shows every request
    }


def _key() -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()


def _read(path: Path) -> dict[str, str]:
    lines = (line.partition("=") for line in path.read_text("utf-8").splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, _equals, value in lines}


def _settings(demo: Demonstration) -> Settings:
    return Settings.from_environment(demo.environment)


def _run(flask: FlaskGroup, arguments: list[str]) -> None:
    """Run one of our own commands; what it says is shown only when it fails."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            flask.main(args=arguments, standalone_mode=False)
    except click.ClickException as error:
        command = f"flask {' '.join(arguments)}"
        raise DemonstrationError(f"{said.getvalue()}{command}: {error.format_message()}") from None


def _decides(person: Holder, now: dt.datetime) -> bool:
    """Children under 14 do not sign in."""
    return guardians.birthday(person, guardians.DECIDES, vault=services().vault) <= now


def _code(holder: Holder, now: dt.datetime) -> str | None:
    if passkeys.passkeys_of(holder.holder_id):
        return None
    return passkeys.issue_enrolment_code(holder, now)
