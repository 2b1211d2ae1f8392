"""The operator's commands for sources: ``flask --app wsgi sources load | import | list``.

An import commits batch by batch and shows how far it is; Ctrl-C stops it, and the same command goes on from there.
"""

import contextlib
import gc
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import click
from flask import Flask

from dataspace import clock, measured
from dataspace.db import db
from dataspace.errors import Conflict
from dataspace.measured import Measured
from dataspace.sources import formats, imports, pulling, registry
from dataspace.sources.connector import SourceFailed
from dataspace.sources.imports import Import, Manner, Reading
from dataspace.sources.receiving import Reception
from dataspace.sources.storing import Verdict
from dataspace.web.commands import Commands
from dataspace.web.shell import services

sources_commands = Commands("sources", help="Where the records of the spaces come from.")


def register(app: Flask) -> None:
    """Add the commands to the application."""
    app.cli.add_command(sources_commands)


@sources_commands.command("load")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def load_sources(paths: tuple[Path, ...]) -> None:
    """Register the sources of TOML files, or change them. With one error nothing is loaded."""
    changed, unchanged = registry.load(paths, clock.now())
    db.session.commit()
    click.echo(f"{changed} loaded, {unchanged} unchanged.")


@sources_commands.command("list")
def list_sources() -> None:
    """Show the sources, and when each was last heard."""
    for source in registry.all_sources():
        last = source.heard_at.isoformat(timespec="seconds") if source.heard_at else "never heard"
        trouble = f"  {source.problem}" if source.problem else ""
        click.echo(f"{source.source_id}  {source.kind}  {last}{trouble}")


@sources_commands.command("token")
@click.argument("source_id", metavar="ID")
@click.option("--remove", is_flag=True, help="Ask without a token from now on.")
def give_token(source_id: str, *, remove: bool) -> None:
    """Set the bearer token by which a source is asked; it is read from the terminal or a pipe, and never shown."""
    token = "" if remove else click.prompt("Token", hide_input=True).strip()
    registry.give_token(source_id, token, vault=services().vault)
    db.session.commit()
    click.echo("Removed." if remove else "Kept.")


@sources_commands.command("import")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", "source_id", required=True, metavar="ID", help="Whose records these are.")
@click.option("--item", "item_id", default="", metavar="ID", help="What all lines of a CSV file are about.")
@click.option("--encoding", type=click.Choice(formats.ENCODINGS), default="utf-8", show_default=True)
@click.option(
    "--rejects",
    type=click.Path(dir_okay=False, path_type=Path),
    help="List of rejected lines: number and reason, no values.  [default: PATH.rejects.tsv]",
)
def import_file(path: Path, source_id: str, item_id: str, encoding: str, rejects: Path | None) -> None:
    """Bring in a file of records (.csv, .ndjson), from where an earlier run has stopped.

    Lines that are rejected do not stop the others.
    """
    now, began = clock.now(), time.monotonic()
    source = registry.get(source_id)
    if not source.enabled:
        raise Conflict("this source is switched off")
    manner = Manner.of(path, encoding=encoding, item_id=item_id)
    made = services()
    reception = Reception.of(source, now, vault=made.vault, index=made.index, demanded=made.demanded)
    listed = rejects or path.with_name(f"{path.name}.rejects.tsv")
    with path.open("rb") as stream:
        reading = Reading(stream, manner)
        state, stopped = imports.begin(reading, path.name, source_id, now)
        import_id, start, before = state.import_id, state.position, state.received
        if start:
            click.echo(f"Goes on at line {stopped}.", err=True)
        elif stopped > 1:
            click.echo(
                f"Begins at line 1: an earlier run stopped at line {stopped}, but what it had read is not what is "
                "there now, or it was to be read in another way.",
                err=True,
            )
        db.session.commit()
        gc.freeze()  # what is here now stays: it need not be gone through whenever a batch has come and gone
        click.get_current_context().call_on_close(gc.unfreeze)
        with _listing(listed, more=start > 0) as file, click.progressbar(
            length=state.size, label=path.name
        ) as bar:  # fmt: skip
            bar.update(start)
            for settled in imports.run(reading, import_id, reception, now):
                file.write("".join(_line(verdict) for verdict in settled.rejected))
                file.flush()  # before the commit: a line may be listed twice, none is missing
                db.session.commit()
                bar.update(settled.position - start)
                start = settled.position
    seconds = max(time.monotonic() - began, 0.001)
    registry.heard(source_id, clock.now())
    measured.note(Measured.IMPORT, clock.now(), seconds)
    db.session.commit()
    done = db.session.get_one(Import, import_id)
    click.echo(
        f"{done.received} records: {done.changed} new or changed, {done.unchanged} unchanged, {done.rejected} rejected"
        + (f" (see {listed})" if done.rejected else "")
        + f"; {(done.received - before) / seconds:.0f} a second."
    )


@sources_commands.command("pull")
@click.argument("source_id", metavar="ID")
@click.option("--again", is_flag=True, help="From the beginning, also what has not changed since the last time.")
def pull_source(source_id: str, *, again: bool) -> None:
    """Ask a source now; the worker asks it when it is due."""
    made = services()
    counts: Counter[str] = Counter()
    for part in pulling.pull(
        source_id, clock.now(), vault=made.vault, index=made.index, demanded=made.demanded,
        allow_loopback=made.settings.fetch_loopback, hosts=made.settings.source_hosts, again=again,
    ):  # fmt: skip
        db.session.commit()
        counts.update(verdict.reason or verdict.outcome for verdict in part)
    for word, count in sorted(counts.items()):
        click.echo(f"{word}: {count}")
    source = registry.get(source_id)
    if source.problem:
        raise SourceFailed(source.problem)
    click.echo("Heard.")


@contextlib.contextmanager
def _listing(path: Path, *, more: bool) -> Iterator[TextIO]:
    """Where the rejected lines of a run are listed, or ``more`` of an earlier one; no file when there is none."""
    try:
        with path.open("a" if more else "w", encoding="utf-8") as file:
            yield file
    finally:
        if path.is_file() and path.stat().st_size == 0:
            path.unlink()


def _line(verdict: Verdict) -> str:
    return f"{verdict.place}\t{verdict.reason}\t{verdict.item_id}\t{verdict.field}\n"
