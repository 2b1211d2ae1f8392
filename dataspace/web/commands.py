"""The operator's commands: the catalogue, the registrar's desk, the demonstration data.

``flask --app wsgi catalogue | registrar | demonstration``. A refused command says why in plain lines and ends with
status 1. Nothing here logs an identifier: the registrar typed it and sees it on the own screen only.
"""

import datetime as dt
from pathlib import Path
from typing import Any

import click
from flask import Flask, current_app
from flask.cli import AppGroup
from sqlalchemy.exc import DBAPIError

from dataspace import catalogue, clock, demonstration, guardians, holders, identifiers, mandates, passkeys
from dataspace.days import CHINA
from dataspace.db import db
from dataspace.errors import DomainError, InvalidFile, InvalidIdentifier, NotFound
from dataspace.holders import Holder, HolderKind, Role
from dataspace.mandates import Capacity
from dataspace.web.shell import services

BODY_CAPACITIES = [Capacity.LEGAL_REPRESENTATIVE.value, Capacity.AGENT.value]


class Commands(AppGroup):
    """A group whose commands answer an expected failure with its sentence instead of a trace."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; the application context rolls back what was not committed."""
        try:
            return super().invoke(ctx)
        except InvalidFile as error:
            raise click.ClickException("\n".join([error.sentence, *error.problems])) from None
        except DomainError as error:
            raise click.ClickException(error.detail or error.sentence) from None
        except DBAPIError as error:
            # Not the statement: its parameters can hold personal data.
            kind = type(error.orig).__name__
            raise click.ClickException(
                f"The database refused ({kind}); nothing was changed. Is it there, and is it migrated?"
            ) from None


def register(app: Flask) -> None:
    """Add the command groups to the application."""
    for group in (catalogue_commands, registrar_commands, demonstration_commands):
        app.cli.add_command(group)


catalogue_commands = Commands("catalogue", help="The catalogue of data items.")
registrar_commands = Commands("registrar", help="Holders, mandates, roles and enrolment codes.")
demonstration_commands = Commands("demonstration", help="The made-up holders and records of the demonstration.")

identifier_option = click.option(
    "--identifier", required=True, metavar="TEXT", help="Citizen identity number or unified social credit code."
)
principal_option = click.option("--principal", required=True, metavar="TEXT", help="Code of who is acted for.")
agent_option = click.option("--agent", required=True, metavar="TEXT", help="Identity number of the person who acts.")


@catalogue_commands.command("load")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
def load_catalogue(paths: tuple[Path, ...]) -> None:
    """Load catalogue files, or folders of them.

    Everything is checked first; with one error nothing is loaded. A changed entry becomes a new version.
    """
    result = catalogue.load(paths, clock.now())
    db.session.commit()
    for item_id, version in result.added:
        click.echo(f"{item_id}  version {version}")
    click.echo(f"{len(result.added)} loaded, {result.unchanged} unchanged.")


@catalogue_commands.command("show")
@click.option("--language", type=click.Choice(["zh_Hans", "zh_Hant", "en"]), default="zh_Hans", show_default=True)
def show_catalogue(language: str) -> None:
    """List the current version of every item: id, version, class, level, share, name, authority."""
    items = catalogue.all_current()
    if not items:
        click.echo("The catalogue is empty.")
    for item in items:
        mark = "sensitive" if item.sensitive else ""
        click.echo(
            f"{item.item_id:<28}v{item.version:<4}{item.pi_class:<5}L{item.level} {item.share} {mark:<10}"
            f"{item.label(language)} · {item.authority_name(language)}"
        )


@registrar_commands.command("register")
@click.option("--kind", required=True, type=click.Choice([k.value for k in HolderKind]))
@identifier_option
@click.option("--name", required=True, help="Name of the person or body.")
def register_holder(kind: str, identifier: str, name: str) -> None:
    """Register a holder and open its space."""
    now = clock.now()
    parsed = identifiers.parse(kind, identifier, today=now.astimezone(CHINA).date())
    if not name.strip() or not name.isprintable():
        raise click.BadParameter("must be a text without control characters", param_hint="--name")
    found = services()
    holder = holders.register(HolderKind(kind), parsed, name.strip(), now, vault=found.vault, index=found.index)
    db.session.commit()
    click.echo(f"Registered {holder.holder_id}.")


@registrar_commands.command("mandate")
@principal_option
@agent_option
@click.option("--capacity", required=True, type=click.Choice(BODY_CAPACITIES))
@click.option(
    "--until", type=click.DateTime(["%Y-%m-%d"]), help="Last day (China time); without it, until it is ended."
)
def add_mandate(principal: str, agent: str, capacity: str, until: dt.datetime | None) -> None:
    """Let a person act for a body, from now on."""
    now = clock.now()
    end = until.replace(tzinfo=CHINA) + dt.timedelta(days=1) if until else None
    if end is not None and end <= now:
        raise click.BadParameter("is in the past", param_hint="--until")
    mandate = mandates.appoint(_holder(principal, now), _holder(agent, now), Capacity(capacity), now, end)
    db.session.commit()
    click.echo(f"Mandate {mandate.mandate_id} is in force.")


@registrar_commands.command("guardian")
@click.option("--child", required=True, metavar="TEXT", help="Identity number of a child.")
@click.option("--guardian", required=True, metavar="TEXT", help="Identity number of the person who decides for it.")
def add_guardian(child: str, guardian: str) -> None:
    """Let a person decide for a child until its 14th birthday, and be told from then until its 18th.

    Establish the relation first, by papers or registers.
    """
    now = clock.now()
    mandate = guardians.appoint(_holder(child, now), _holder(guardian, now), now, vault=services().vault)
    db.session.commit()
    if not mandate.in_force(now):
        click.echo(f"Guardianship {mandate.mandate_id} is noted: who is 14 decides alone, and the guardian is told.")
        return
    last = (mandate.valid_until or now).astimezone(CHINA).date()
    click.echo(f"Guardianship {mandate.mandate_id} is in force, and ends on {last}.")


@registrar_commands.command("end-mandate")
@principal_option
@agent_option
def end_mandate(principal: str, agent: str) -> None:
    """End every mandate of a person for a body or a child, at once; consents given through them stop."""
    now = clock.now()
    principal_id, agent_id = _holder(principal, now).holder_id, _holder(agent, now).holder_id
    usable = [m for m in mandates.of_agent(agent_id, now) if m.principal_id == principal_id]
    only_told = [m for m in guardians.of(principal_id, now) if m.agent_id == agent_id and not m.in_force(now)]
    found = usable + only_told
    if not found:
        raise click.ClickException("This person has no mandate for this body.")
    for mandate in found:
        mandates.end(mandate.mandate_id, now)
    db.session.commit()
    click.echo("\n".join(f"Mandate {mandate.mandate_id} has ended." for mandate in found))


@registrar_commands.command("role")
@identifier_option
@click.option("--role", required=True, type=click.Choice([r.value for r in Role]))
def grant_role(identifier: str, role: str) -> None:
    """Give a person a role in this service."""
    now = clock.now()
    holder = _holder(identifier, now)
    holders.grant_role(holder, Role(role), now)
    db.session.commit()
    click.echo(f"{holder.holder_id} has the role {role}.")


@registrar_commands.command("enrolment-code")
@identifier_option
@click.option("--recovery", is_flag=True, help="All earlier passkeys of the person go when the code is used.")
def enrolment_code(identifier: str, *, recovery: bool) -> None:
    """Print a code with which a person enrols a passkey, once. Hand it over in person; earlier codes are void."""
    now = clock.now()
    person = _holder(identifier, now)
    guardians.demand_old_enough(person, now, vault=services().vault)
    code = passkeys.issue_enrolment_code(person, now, recovery=recovery)
    db.session.commit()
    click.echo(code)


@demonstration_commands.command("load")
@click.option("--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Other data files.")
def load_demonstration(folder: Path | None) -> None:
    """Load the demonstration's holders, mandates and records; what is there already stays as it is."""
    now = clock.now()
    vault, index = services().vault, services().index
    contents = demonstration.read(folder or Path(current_app.root_path) / "demonstration", now.astimezone(CHINA).date())
    people, new_holders = demonstration.add_holders(contents, now, vault=vault, index=index)
    new_mandates = demonstration.add_mandates(contents, people)
    with click.progressbar(contents.records, label="Records") as orders:
        new_records = demonstration.add_records(orders, people, now, vault=vault)
    db.session.commit()
    click.echo(f"{new_holders} holders, {new_mandates} mandates and {new_records} records are new.")


def _holder(text: str, now: dt.datetime) -> Holder:
    """The holder whose identifier the registrar typed. Raises InvalidIdentifier, NotFound.

    Both schemes have 18 characters and a code of digits may pass as either: both are tried.
    """
    refusals = []
    for kind in (HolderKind.NATURAL_PERSON, HolderKind.LEGAL_ENTITY):
        try:
            identifier = identifiers.parse(kind, text, today=now.astimezone(CHINA).date())
            return holders.by_identifier(identifier, index=services().index)
        except (InvalidIdentifier, NotFound) as error:
            refusals.append(error)
    # One of them was an identifier: then it is just not registered.
    raise next(
        (r for r in refusals if isinstance(r, NotFound)), InvalidIdentifier("; ".join(r.detail for r in refusals))
    )
