"""Commands about single certificates: an administrator freezes one, lets it be used again, revokes it, for a reason."""

import click

from consent import data_certificates, interventions
from consent.data_certificates import Step
from consent.interventions import COMMAND
from dataspace import clock
from dataspace.db import db
from dataspace.web.commands import Commands
from dataspace.web.shell import services

certificates_group = Commands("certificates", help="Single certificates over delivered data.")
STEPS = {"freeze": Step.FROZEN, "thaw": Step.THAWED, "revoke": Step.REVOKED}


@certificates_group.command("step")
@click.argument("certificate_id", metavar="NUMBER")
@click.argument("step", type=click.Choice(list(STEPS)))
@click.option("--ground", required=True, type=click.Choice([ground.value for ground in interventions.CERTIFICATES]))
@click.option("--text", required=True, help="Why; its holder reads it.")
def step(certificate_id: str, step: str, ground: str, text: str) -> None:
    """Freeze a certificate, thaw what was frozen here, or revoke it for good. The holder gets a message."""
    reason = interventions.state(ground, text, allowed=interventions.CERTIFICATES)
    data_certificates.step_in(
        certificate_id, STEPS[step], reason, clock.now(), actor_id=COMMAND, vault=services().vault
    )
    db.session.commit()
    click.echo(f"{certificate_id}: {step}. Whoever fetches its list of statuses sees it now.")
