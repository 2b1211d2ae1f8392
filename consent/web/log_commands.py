"""The command that ends the log of evidence and begins another."""

import contextlib

import click

from consent import interventions, log_change
from consent.evidence import LogBroken
from consent.interventions import COMMAND
from consent.web.context import registry
from consent.web.log import cosign, log_files, sequence
from consent.worker import SweepFailed
from dataspace import clock
from dataspace.db import db
from dataspace.web.commands import Commands
from dataspace.web.shell import services

log_group = Commands("evidence-log", help="The log of evidence.")


@log_group.command("begin")
@click.option("--ground", required=True, type=click.Choice([ground.value for ground in interventions.ROTATE]))
@click.option("--text", required=True, help="Why, for the record.")
@click.confirmation_option(prompt="The present log ends for ever and its key is destroyed. Begin another?")
def begin(ground: str, text: str) -> None:
    """End the log of evidence and begin another with a new name and key.

    For when its key is lost or known to others, or it is broken. The old one is still served, and its proofs stay
    valid. What it could not take in any more enters the new one.
    """
    reason = interventions.state(ground, text, allowed=interventions.ROTATE)
    for bring_up_to_date in (sequence, cosign):
        with contextlib.suppress(SweepFailed):  # that it cannot be may be why it ends
            bring_up_to_date()
    now = clock.now()
    last, new = log_change.change(registry().issuer, now, services().vault)
    said = f"{last.origin} ended with {last.size} entries; {new.origin} begins. {reason.text}"
    interventions.note("log:begun", now, actor_id=COMMAND, reason_code=reason.ground, text=said)
    db.session.commit()
    if files := log_files(last.log):
        with contextlib.suppress(LogBroken):  # they have more of it than the database: they stay as they are
            files.publish()
    click.echo(f"{last.origin} has ended. Its last checkpoint, for whoever has kept its key:\n")
    click.echo(last.note.decode())
    click.echo(f"The key of the new log; witnesses and readers have to be told:\n\n{new.verifier}")
