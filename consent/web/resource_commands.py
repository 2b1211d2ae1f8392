"""Commands for resource servers beside the data API: whom access tokens may be meant for (RFC 8707)."""

import click

from consent.oauth import resources
from dataspace import clock
from dataspace.db import db
from dataspace.web.commands import Commands
from dataspace.web.shell import services

resources_group = Commands("resources", help="Resource servers beside the data API.")


@resources_group.command("add")
@click.argument("uri", metavar="URI")
@click.option("--token-format", type=click.Choice(resources.FORMATS), default=resources.FORMATS[0], show_default=True)
@click.option("--client", "client_id", metavar="CLIENT", help="The client that introspects tokens for it.")
def add_resource(uri: str, token_format: str, client_id: str | None) -> None:
    """Register a resource server under its identifier, an absolute URI."""
    resources.add(uri, token_format, client_id, clock.now(), issuer=services().settings.issuer)
    db.session.commit()
    click.echo(f"{uri} takes {token_format} access tokens.")


@resources_group.command("list")
def list_resources() -> None:
    """List the resource servers: token format, introspecting client, identifier."""
    for resource in resources.registered():
        click.echo(f"{resource.token_format:<6}  {resource.client_id or '-':<30}  {resource.uri}")


@resources_group.command("remove")
@click.argument("uri", metavar="URI")
def remove_resource(uri: str) -> None:
    """Forget a resource server: no new access tokens for it."""
    resources.remove(uri)
    db.session.commit()
    click.echo(f"{uri} is no resource any more.")
