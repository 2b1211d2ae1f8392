"""Commands of the consent side: clients, scenarios, rules, keys, and the background worker.

What is done here is recorded as done by ``command``: who may run commands is the operating system's business.
"""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from consent import interventions, keys, scenarios, supervision, worker
from consent.interventions import COMMAND, Ground
from consent.scenarios import Stored
from consent.web.archives import make_archives
from consent.web.certificate_commands import certificates_group
from consent.web.client_commands import clients_group, installation
from consent.web.context import registry
from consent.web.log import cosign, sequence
from consent.web.log_commands import log_group
from consent.web.logos import fetch_logos
from consent.web.messenger import channels, deliver_all
from consent.web.power_commands import powers_group
from consent.web.record_commands import records_group
from consent.web.resource_commands import resources_group
from consent.web.rule_commands import rules_group
from consent.web.wrapping_commands import wrapping_group
from dataspace import clock
from dataspace.db import db
from dataspace.web.commands import Commands
from dataspace.web.shell import services

log = logging.getLogger("dataspace.worker")
SOURCES_AT_ONCE = 10  # in one pass
TURN = 1.0  # seconds between turns of the sequencer: a proof is there within two
scenarios_group = Commands("scenarios", help="Data files of third parties and what each may ask.")
keys_group = Commands("keys", help="The keys with which this service signs.")


def register(app: Flask) -> None:
    """Add the commands to an application."""
    ours = (clients_group, resources_group, scenarios_group, rules_group, powers_group, keys_group, wrapping_group)
    for command in (*ours, certificates_group, records_group, log_group, worker_command):
        app.cli.add_command(command)


# Scenarios


@scenarios_group.command("load")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="PATH...")
def load_scenarios(paths: tuple[Path, ...]) -> None:
    """Load clients and purposes from TOML files, or directories of them.

    Loading the same files again changes nothing. With any error in any file nothing is loaded.
    """
    now = clock.now()
    entries = scenarios.check(paths, now, here=installation())
    stored: list[Stored] = []
    with click.progressbar(
        scenarios.store(entries, now, actor_id=COMMAND), length=len(entries), label="Loading"
    ) as bar:
        stored.extend(bar)
    db.session.commit()
    for table in scenarios.NAMES:
        counts = {o: sum(s.table == table and s.outcome == o for s in stored) for o in scenarios.OUTCOMES}
        click.echo(f"{table}: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))


# Keys


@keys_group.command("generate")
def generate_keys() -> None:
    """Make the first key of every kind that has none; changes nothing when all are there."""
    now = clock.now()
    made = keys.generate_missing(now, services().vault)
    if made:
        interventions.note("keys:generated", now, actor_id=COMMAND, text=f"{len(made)} keys")
    db.session.commit()
    for key in made:
        click.echo(f"{key.purpose:<9}  {key.alg:<6}  {key.kid}")
    click.echo(f"{len(made)} key(s) made." if made else "All keys are there; nothing to do.")


@keys_group.command("rotate")
@click.option("--text", default="by command", show_default=True, help="Why, for the record.")
def rotate_keys(text: str) -> None:
    """Publish the next key of every kind. It signs ten minutes later; the old ones stay until nothing needs them."""
    now = clock.now()
    made = keys.rotate(now, services().vault)
    interventions.note("keys:rotated", now, actor_id=COMMAND, reason_code=Ground.KEY_CHANGE, text=text)
    db.session.commit()
    for key in made:
        click.echo(f"{key.purpose:<9}  {key.alg:<6}  {key.kid}  signs from {key.active_from:%Y-%m-%d %H:%M} UTC")


@keys_group.command("list")
def list_keys() -> None:
    """List the keys: use, algorithm, kid, state, from when it signs, until when it is published."""
    now = clock.now()
    for key in supervision.server_keys():
        until = f"{key.remove_at:%Y-%m-%d %H:%M}" if key.remove_at else "-"
        state = supervision.key_state(key, now)
        click.echo(f"{key.purpose:<9}  {key.alg:<6}  {key.kid}  {state:<7}  {key.active_from:%Y-%m-%d %H:%M}  {until}")


# Worker


@click.command("worker")
@click.option("--once", is_flag=True, help="One pass, then end.")
@click.option("--interval", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="Seconds between.")
@with_appcontext
def worker_command(*, once: bool, interval: float) -> None:
    """Do the background work: write down what has expired, remove what is used up, tell clients what has ended.

    Runs until it is told to stop (SIGTERM, SIGINT). Several may run at once.
    """
    if once:
        try:
            done = worker.run_once(clock.now(), registry=registry())
            done |= {channel.name: deliver_all(channel) for channel in channels()}
            done |= {"logos": fetch_logos(), "archives_made": make_archives(), "sources_asked": pull_sources()}
            done |= {"evidence": sequence(), "cosignatures": cosign()}
        except worker.SweepFailed as error:
            raise click.ClickException(f"{error.sentence} ({error.detail})") from None
        for name, count in done.items():
            click.echo(f"{name}: {count}")
        return
    with _told_to_stop() as stop, _beside(stop, ("sequenced", sequence), ("cosigned", cosign)):
        click.echo(f"Working every {interval:g} seconds.", err=True)
        while not stop.is_set():
            _pass()
            stop.wait(interval)
    click.echo("Stopped.", err=True)


def _pass() -> None:
    try:
        for channel in channels():  # first: somebody waits for it
            if count := deliver_all(channel):
                log.info("delivered", extra={"detail": channel.name, "count": count})
        for name, count in worker.run_once(clock.now(), registry=registry()).items():
            if count:
                log.info("swept", extra={"detail": name, "count": count})
        fetch_logos()
        make_archives()
        pull_sources()
    except worker.SweepFailed as error:
        # Logged there in detail. The database may be back for the next pass.
        log.warning("pass incomplete", extra={"detail": error.detail})
    finally:
        db.session.remove()


def pull_sources() -> int:
    """Ask the sources that are due, a few of them: the rest of the work waits meanwhile."""
    asked, settings = 0, services().settings
    while asked < SOURCES_AT_ONCE and worker.pull_source(
        clock.now(), registry=registry(), allow_loopback=settings.fetch_loopback, hosts=settings.source_hosts
    ):
        asked += 1
    return asked


@contextmanager
def _beside(stop: threading.Event, *works: tuple[str, Callable[[], int]]) -> Iterator[None]:
    """What has to be done within a second or two, beside the other work, which may take longer; each by itself.

    So is the log of evidence brought up to date, and no slow witness keeps it from that.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001 - as Flask documents

    def turns(done: str, work: Callable[[], int]) -> None:
        while not stop.is_set():
            with app.app_context():  # ends with the session
                try:
                    if count := work():
                        log.info(done, extra={"count": count})
                except worker.SweepFailed as error:
                    log.warning("pass incomplete", extra={"detail": error.detail})  # tried again
            stop.wait(TURN)

    threads = [threading.Thread(target=turns, args=work, name=work[0]) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@contextmanager
def _told_to_stop() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; the pass that is under way is finished first."""
    stop = threading.Event()

    def told(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
