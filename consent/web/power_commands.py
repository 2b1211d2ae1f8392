"""Commands for powers: what authorities may read by law. An administrator approves on a page what is entered here."""

from pathlib import Path

import click

from consent import power_files, powers
from consent.interventions import COMMAND
from dataspace import clock
from dataspace.datafiles import Entry
from dataspace.db import db
from dataspace.web.commands import Commands

powers_group = Commands("powers", help="What authorities may read by law, without consent.")
_file = click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")


@powers_group.command("check")
@_file
def check_powers(path: Path) -> None:
    """Say what is wrong with a file of powers; enter nothing."""
    click.echo(f"{len(_checked(path))} powers, nothing wrong.")


@powers_group.command("load")
@_file
@click.option("--text", default="by command", show_default=True, help="Why, for the record.")
def load_powers(path: Path, text: str) -> None:
    """Enter what is new in a file of powers. It allows nothing before an administrator has approved it."""
    entered = power_files.enter(_checked(path), clock.now(), actor_id=COMMAND, text=text)
    db.session.commit()
    for power in entered:
        click.echo(f"{power.power_id} {power.version}: {'waits for approval' if power.new else 'known already'}")


@powers_group.command("list")
def list_powers() -> None:
    """List every version of every power and how it stands."""
    now, found = clock.now(), powers.everything()
    for power, _client in found:
        until = f"{power.valid_from:%Y-%m-%d} to {power.valid_until:%Y-%m-%d}"
        state = powers.state(power, now)
        click.echo(f"{power.power_id:<32}  {power.version:>3}  {state:<9}  {until}  {power.client_id}")
    if not found:
        click.echo("There are no powers: nobody reads by law.")


def _checked(path: Path) -> list[Entry]:
    if path.stat().st_size > power_files.MAX_BYTES:
        raise click.ClickException(f"{path.name} is larger than {power_files.MAX_BYTES // 1024} KiB")
    return power_files.check(path.name, path.read_bytes())
