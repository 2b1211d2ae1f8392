"""Commands for the client registry. What is done here is recorded as done by ``command``."""

import datetime as dt
import json
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Any

import click
from sqlalchemy import select

from consent import clients, endings, interventions, keys, purposes, scenarios, supervision
from consent.client_options import ClientOptions
from consent.clients import SECRET_METHODS, AuthMethod, Client, ClientClass, Profile, Standing
from consent.installation import Installation
from consent.interventions import COMMAND, Ground
from consent.oauth import initial_access
from consent.oauth.client_auth import LOGIN_ALGORITHMS
from consent.web.context import registry
from dataspace import clock, jwk
from dataspace.db import db
from dataspace.web.commands import Commands
from dataspace.web.shell import services

existing_file = click.Path(exists=True, dir_okay=False, path_type=Path)


def choice(words: Iterable[StrEnum]) -> click.Choice[str]:
    """One of the values (click itself would offer the names)."""
    return click.Choice([word.value for word in words])


clients_group = Commands("clients", help="Third parties: register, look at, suspend, give keys.")


@clients_group.command("register")
@click.option("--file", "path", type=existing_file, help="A TOML file with [[clients]], as scenario files have.")
@click.option("--client-id", help="How the client calls itself; letters, digits, hyphens.")
@click.option("--name", help="Legal name in Simplified Chinese.")
@click.option("--name-hant", help="Legal name in Traditional Chinese; the same as --name if left out.")
@click.option("--name-en", help="Legal name in English; the same as --name if left out.")
@click.option("--uscc", default="", help="Unified social credit code, 18 characters.")
@click.option("--foreign-registration", default="", help="For bodies from elsewhere: register and number.")
@click.option("--contact", help="How holders and we reach it: telephone, e-mail.")
@click.option("--address", default="")
@click.option("--privacy-officer", default="")
@click.option("--profile", type=choice(Profile), default=Profile.DATA.value, show_default=True)
@click.option("--class", "client_class", type=choice(c for c in ClientClass if c), help="Kind of body, for the rules.")
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Exact address to return to; may be repeated.")
@click.option("--auth-method", type=choice(AuthMethod), help="Default: by profile, key or secret.")
@click.option("--auth-signing-alg", type=click.Choice(sorted(LOGIN_ALGORITHMS)), help="Only this one in assertions.")
@click.option("--tls-subject-dn", help="tls_client_auth: subject of the certificate, as RFC 4514 writes it.")
@click.option("--tls-san-dns", help="tls_client_auth: a host name of the certificate instead.")
@click.option("--tls-san-uri", help="tls_client_auth: a URI of the certificate instead.")
@click.option("--certificate-bound", is_flag=True, help="Tokens bound to the certificate, instead of DPoP.")
@click.option("--id-token-alg", type=click.Choice(list(keys.ALGORITHMS[keys.KeyUse.ID_TOKEN])), default="RS256")
@click.option("--jwks", "jwks_file", type=existing_file, help="JSON file: a JWK set with public keys only.")
@click.option("--jwks-uri", help="https address where the client publishes its JWK set.")
def register_client(path: Path | None, jwks_file: Path | None, jwks_uri: str | None, **options: Any) -> None:
    """Register a client (several with --file). Prints each client_id, and a secret once where one is used.

    With --file, --jwks or --jwks-uri is for the only client in the file.
    """
    given_keys = {"jwks": read_jwks(jwks_file) if jwks_file else None, "jwks_uri": jwks_uri}
    for values in _from_file(path) if path else [_from_options(options)]:
        now = clock.now()
        client = clients.register(
            values | given_keys, now, actor_id=COMMAND, here=installation(), reason_code=Ground.REGISTRATION
        )
        click.echo(f"client_id: {client.client_id}")
        _give_secret(client)
    db.session.commit()


@clients_group.command("invite")
@click.option("--profile", type=choice(Profile), default=Profile.LOGIN.value, show_default=True)
@click.option("--note", default="", help="For whom, in your words.")
@click.option("--days", type=click.IntRange(1, initial_access.LONGEST.days), default=initial_access.LIFE.days,
              show_default=True, help="How long it may be used.")  # fmt: skip
def invite(profile: str, note: str, days: int) -> None:
    """Issue an initial access token: with it a program registers one client. Prints it once."""
    life = dt.timedelta(days=days)
    token = initial_access.issue(Profile(profile), clock.now(), actor_id=COMMAND, note=note, life=life)
    db.session.commit()
    click.echo(f"initial_access_token: {token}")
    click.echo("It is shown only now, and good for one client.", err=True)


@clients_group.command("delete")
@click.argument("client_id", metavar="CLIENT")
@click.option("--reason-code", type=choice(interventions.SUSPEND), required=True)
@click.option("--text", required=True, help="Why, for the record.")
@click.confirmation_option(prompt="All its consents end, and nobody can bring it back. Go on?")
def delete_client(client_id: str, reason_code: str, text: str) -> None:
    """End a client for ever, and every consent that it holds."""
    reason, now = interventions.state(reason_code, text, allowed=interventions.SUSPEND), clock.now()
    clients.delete(client_id, now, actor_id=COMMAND, reason_code=reason.ground, text=reason.text)
    db.session.flush()
    endings.terminate(client_id, now, registry=registry())
    db.session.commit()
    click.echo(f"{client_id} is deleted.")


@clients_group.command("list")
@click.option("--standing", type=choice(Standing), help="Only clients of this standing.")
def list_clients(standing: str | None) -> None:
    """List the clients: client_id, profile, standing, legal name."""
    query = select(Client).order_by(Client.client_id)
    for client in db.session.scalars(query.filter_by(standing=standing) if standing else query):
        click.echo(f"{client.client_id:<30}  {client.profile:<5}  {client.standing:<9}  {client.name('zh_Hans')}")


@clients_group.command("show")
@click.argument("client_id", metavar="CLIENT")
def show_client(client_id: str) -> None:
    """Show one client with its keys, purposes and latest events."""
    client = clients.get(client_id)
    standing = f"{client.standing} since {client.standing_since:%Y-%m-%d %H:%M} UTC"
    for label, value in (
        ("client_id", client.client_id), ("legal name", " / ".join(client.legal_name.values())),
        ("code", client.uscc or client.foreign_registration), ("contact", client.contact), ("profile", client.profile),
        ("class", client.client_class),
        ("standing", standing), ("authenticates by", client.token_endpoint_auth_method), ("jwks_uri", client.jwks_uri),
    ):  # fmt: skip
        if value:
            click.echo(f"{label + ':':<18} {value}")
    _echo_list("redirect URIs", client.redirect_uris)
    _echo_list("keys", [f"{k.kid or '-'}  {k.alg or k.kty}  {k.thumbprint}" for k in supervision.keys_of(client)])
    _echo_list("purposes", [f"{p.code}  {p.text['en']}" for p in purposes.of_client(client_id)])
    _echo_list("events", [f"{e.at:%Y-%m-%d %H:%M}  {e.kind}  {e.text}" for e in supervision.client_events(client_id)])


@clients_group.command("suspend")
@click.argument("client_id", metavar="CLIENT")
@click.option("--reason-code", type=choice(interventions.SUSPEND), required=True)
@click.option("--text", required=True, help="Why, in words that holders may read.")
def suspend_client(client_id: str, reason_code: str, text: str) -> None:
    """Stop a client: nothing can be read through its consents until it is reinstated."""
    reason = interventions.state(reason_code, text, allowed=interventions.SUSPEND)
    clients.suspend(client_id, clock.now(), actor_id=COMMAND, reason_code=reason.ground, text=reason.text)
    db.session.commit()
    click.echo(f"{client_id} is suspended.")


@clients_group.command("reinstate")
@click.argument("client_id", metavar="CLIENT")
@click.option("--reason-code", type=choice(interventions.REINSTATE), required=True)
@click.option("--text", required=True, help="Why, in words that holders may read.")
def reinstate_client(client_id: str, reason_code: str, text: str) -> None:
    """Let a suspended client go on; its consents that have not ended resume."""
    reason = interventions.state(reason_code, text, allowed=interventions.REINSTATE)
    clients.reinstate(client_id, clock.now(), actor_id=COMMAND, reason_code=reason.ground, text=reason.text)
    db.session.commit()
    click.echo(f"{client_id} is in good standing.")


@clients_group.command("keys")
@click.argument("client_id", metavar="CLIENT")
@click.option("--jwks", "jwks_file", type=existing_file, required=True, help="JSON file: a JWK set, public keys only.")
def set_client_keys(client_id: str, jwks_file: Path) -> None:
    """Replace the keys of a client."""
    values = {"jwks": read_jwks(jwks_file), "jwks_uri": None}
    client = _change(client_id, values, Ground.KEY_CHANGE)
    click.echo(f"{client_id} has {len(supervision.keys_of(client))} key(s).")


@clients_group.command("redirect-uris")
@click.argument("client_id", metavar="CLIENT")
@click.argument("uris", nargs=-1, required=True, metavar="URI...")
def set_redirect_uris(client_id: str, uris: tuple[str, ...]) -> None:
    """Replace the redirect URIs of a client."""
    _change(client_id, {"redirect_uris": list(uris)}, Ground.CORRECTION)
    click.echo(f"{client_id} returns to {', '.join(uris)}.")


@clients_group.command("secret")
@click.argument("client_id", metavar="CLIENT")
def replace_secret(client_id: str) -> None:
    """Give a client that uses a secret a new one and print it once. The old one stops working at once."""
    client = clients.get(client_id)
    if client.token_endpoint_auth_method not in SECRET_METHODS:
        raise click.ClickException(f"{client_id} authenticates by a key or certificate, not by a secret.")
    clients.note(client_id, "client:secret_replaced", clock.now(), actor_id=COMMAND, reason_code=Ground.KEY_CHANGE)
    _give_secret(client)
    db.session.commit()


def read_jwks(path: Path) -> dict[str, Any]:
    """The JWK set in a file, checked: public signing keys only."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except ValueError:
        raise click.ClickException(f"{path.name} is not JSON.") from None
    try:
        jwk.parse_jwk_set(document, skip_foreign=True)  # keys for encryption may stand beside those that sign
    except jwk.InvalidToken as error:
        raise click.ClickException(f"{path.name} is not a JWK set of public keys: {error.detail}") from None
    found: dict[str, Any] = document
    return found


def installation() -> Installation:
    """What is possible for clients here."""
    return Installation.of(services().settings)


def _from_file(path: Path) -> list[dict[str, Any]]:
    entries = scenarios.check([path], clock.now(), here=installation())
    found = [scenarios.client_values(entry) for entry in entries if entry.table == "clients"]
    if not found:
        raise click.ClickException(f"{path.name} has no [[clients]].")
    return found


def _from_options(options: dict[str, Any]) -> dict[str, Any]:
    missing = [f"--{n.replace('_', '-')}" for n in ("client_id", "name", "contact") if not options[n]]
    missing += [] if options["redirect_uris"] else ["--redirect-uri"]
    if missing:
        raise click.UsageError(f"Give --file, or {', '.join(missing)}.")
    name = options["name"]
    texts = {"zh_hans": name, "zh_hant": options["name_hant"] or name, "en": options["name_en"] or name}
    same = ("client_id", "uscc", "foreign_registration", "contact", "address", "privacy_officer", "profile")
    return {n: options[n] for n in same} | {
        "client_class": options["client_class"] or "",
        "legal_name": texts,
        "redirect_uris": list(options["redirect_uris"]),
        "token_endpoint_auth_method": options["auth_method"] or scenarios.METHODS[Profile(options["profile"])].value,
        "id_token_signed_response_alg": options["id_token_alg"],
        "options": _client_options(options).to_document(),
    }


def _client_options(options: dict[str, Any]) -> ClientOptions:
    return ClientOptions(
        token_endpoint_auth_signing_alg=options["auth_signing_alg"] or "",
        tls_client_auth_subject_dn=options["tls_subject_dn"] or "",
        tls_client_auth_san_dns=options["tls_san_dns"] or "",
        tls_client_auth_san_uri=options["tls_san_uri"] or "",
        tls_client_certificate_bound_access_tokens=options["certificate_bound"],
    )


def _give_secret(client: Client) -> None:
    if client.token_endpoint_auth_method in SECRET_METHODS:
        click.echo(f"client_secret: {clients.new_secret(client)}")
        click.echo("The secret is shown only now; keep it where only the client can read it.", err=True)


def _change(client_id: str, values: dict[str, Any], ground: Ground) -> Client:
    client = clients.change(
        client_id, values, clock.now(),
        actor_id=COMMAND, reason_code=ground, text="by command", here=installation(),
    )  # fmt: skip
    db.session.commit()
    return client


def _echo_list(label: str, lines: list[str]) -> None:
    if lines:
        click.echo(f"{label}:")
        for line in lines:
            click.echo(f"  {line}")
