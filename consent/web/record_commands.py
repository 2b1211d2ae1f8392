"""Commands about single records: which versions a space holds of what, and deleting one for good."""

import click

from consent import interventions, record_erasures
from consent.interventions import COMMAND
from dataspace import clock, lineage
from dataspace.db import db
from dataspace.web.commands import Commands
from dataspace.web.shell import services

records_group = Commands("records", help="Single records of the spaces.")


@records_group.command("of-delivery")
@click.argument("delivery_id", metavar="DELIVERY")
def of_delivery(delivery_id: str) -> None:
    """List the versions of records that left with a delivery, and whether they were deleted since."""
    for origin in lineage.origins(lineage.delivery(delivery_id).record_ids or []):
        record = origin.record
        gone = f"deleted {record.erased_at:%Y-%m-%d}" if record.erased_at else ""
        click.echo(f"{record.record_id}  {record.item_id}  version {record.version}  {gone}".rstrip())


@records_group.command("erase")
@click.argument("record_id", metavar="RECORD")
@click.option("--ground", required=True, type=click.Choice([ground.value for ground in interventions.ERASE]))
@click.option("--text", required=True, help="Why, for the record; no personal data.")
@click.confirmation_option(prompt="Its values can never be read again. Go on?")
def erase(record_id: str, ground: str, text: str) -> None:
    """Delete one version of a record for good, certificates over it, and whatever copy the holder has had prepared.

    Older backups still open it until the wrapping key of their day is forgotten: wrapping-keys rotate, then forget.
    """
    reason, now = interventions.state(ground, text, allowed=interventions.ERASE), clock.now()
    record_erasures.erase(record_id, reason, now, actor_id=COMMAND, vault=services().vault)
    db.session.commit()
    click.echo(f"{record_id} is deleted. Backups from before open it until wrapping-keys forget.")
