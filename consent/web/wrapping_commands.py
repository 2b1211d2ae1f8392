"""Commands for the keys that wrap the keys of the data spaces and our private keys."""

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Iterable

import click

from consent import evidence, interventions
from consent.interventions import COMMAND, Ground
from consent.keys import PRIVATE_KEYS
from dataspace import clock, measured, rewrapping
from dataspace.db import db
from dataspace.errors import Conflict
from dataspace.key_file import FileKeys
from dataspace.measured import Measured
from dataspace.rewrapping import DATA_KEYS, PART_KEYS, RECORD_KEYS, Wrapped
from dataspace.sources import registry
from dataspace.web.commands import Commands
from dataspace.web.shell import services
from dataspace.wrapping import KeyProvider

PLACES = (DATA_KEYS, RECORD_KEYS, PART_KEYS, PRIVATE_KEYS, registry.TOKENS, evidence.PRIVATE_KEY)
wrapping_group = Commands("wrapping-keys", help="The keys that wrap the keys of the data spaces and our private keys.")


@wrapping_group.command("list")
def list_keys() -> None:
    """List the keys: name, since when, how many secrets each has wrapped. The one that wraps is marked."""
    keys = services().vault.keys
    wrapped = _each(rewrapping.look, keys, "Looking")
    added = {key.name: key.added_at for key in keys.all()} if isinstance(keys, FileKeys) else {}
    current = keys.current()
    for name in dict.fromkeys([current, *added, *wrapped]):
        since = added.get(name)
        mark = "wraps" if name == current else ""
        click.echo(f"{name}  {f'{since:%Y-%m-%d %H:%M}' if since else '-':<16}  {wrapped[name]:>9}  {mark}".rstrip())


@wrapping_group.command("rotate")
@click.option("--text", default="by command", show_default=True, help="Why, for the record.")
def rotate(text: str) -> None:
    """Add a key to the file, use it from now on, and wrap everything under it. The service goes on meanwhile.

    Afterwards, and after an hour: forget the older key.
    """
    keys = _file()
    now = clock.now()
    key = keys.add(now)
    click.echo(f"{key.name} wraps from now on.")
    _rewrap(keys, now, text)


@wrapping_group.command("rewrap")
@click.option("--text", default="by command", show_default=True, help="Why, for the record.")
def rewrap(text: str) -> None:
    """Wrap under the current key whatever another has wrapped: after changing the settings, or an interruption."""
    _rewrap(services().vault.keys, clock.now(), text)


@wrapping_group.command("forget")
@click.argument("name")
@click.option("--text", default="by command", show_default=True, help="Why, for the record.")
@click.confirmation_option(prompt="What it has wrapped, in every copy of the database, opens no more. Go on?")
def forget(name: str, text: str) -> None:
    """Remove a key that has wrapped nothing which is still there. Older copies of the database open no more."""
    keys, now = _file(), clock.now()
    left = _each(rewrapping.look, keys, "Looking")[name]
    if left:
        raise Conflict(f"{left} secrets are still wrapped by it: run wrapping-keys rewrap")
    keys.remove(name, now)
    interventions.note("wrapping_keys:forgotten", now, actor_id=COMMAND, reason_code=Ground.KEY_CHANGE, text=text)
    db.session.commit()
    click.echo(f"{name} is forgotten.")


def _rewrap(keys: KeyProvider, now: dt.datetime, text: str) -> None:
    began = time.monotonic()
    wrapped = _each(rewrapping.rewrap, keys, "Wrapping")
    seconds = time.monotonic() - began
    changed = wrapped.total() - wrapped[keys.current()]
    said = f"{changed} of {wrapped.total()} secrets wrapped anew in {seconds:.1f} s"
    ground = Ground.KEY_CHANGE
    interventions.note("wrapping_keys:rotated", now, actor_id=COMMAND, reason_code=ground, text=f"{text}: {said}")
    measured.note(Measured.ROTATION, clock.now(), seconds)
    db.session.commit()
    click.echo(f"{said}.")


def _each(
    step: Callable[[Wrapped, KeyProvider], Iterable[Counter[str]]], keys: KeyProvider, label: str
) -> Counter[str]:
    """Go through all places with a progress bar, committing after each batch; how many each key had wrapped."""
    found: Counter[str] = Counter()
    with click.progressbar(length=sum(place.count() for place in PLACES), label=label) as bar:
        for place in PLACES:
            for batch in step(place, keys):
                db.session.commit()
                found += batch
                bar.update(batch.total())
    return found


def _file() -> FileKeys:
    keys = services().vault.keys
    if not isinstance(keys, FileKeys):
        raise Conflict(
            "the keys are not in a file (DATASPACE_WRAPPING_KEY_FILE): change them where they are, then rewrap"
        )
    return keys
