"""Commands for the rules: look at a rule set before it takes effect, load it, list those that are loaded."""

from collections import Counter
from pathlib import Path

import click

from consent import rule_files, rule_preview, rules
from consent.interventions import COMMAND, Ground
from consent.rule_files import Draft
from consent.rule_preview import Refused
from dataspace import clock
from dataspace.db import db
from dataspace.web.commands import Commands

NAMED = 5  # consents that are named for each rule
rules_group = Commands("rules", help="What may be asked at all: versioned sets of caps and templates.")
_file = click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="FILE")
_from = click.option("--valid-from", default="", metavar="WHEN", help="In place of the file's; 2027-01-01 or RFC 3339.")


@rules_group.command("check")
@_file
@_from
@click.option("--all", "named", is_flag=True, help="Name every consent that would be refused.")
def check_rules(path: Path, valid_from: str, *, named: bool) -> None:
    """Say what is wrong with a rule set, what it changes, and which live consents it would refuse; load nothing."""
    _preview(_checked(path, valid_from), named=named)


@rules_group.command("load")
@_file
@_from
@click.option("--dry-run", is_flag=True, help="The same as check.")
@click.option("--text", default="by command", show_default=True, help="Why, for the record.")
def load_rules(path: Path, valid_from: str, text: str, *, dry_run: bool) -> None:
    """Load a rule set; it judges every request from its valid_from on. With any error nothing is loaded."""
    draft = _checked(path, valid_from)
    if dry_run:
        _preview(draft, named=False)
        return
    loaded = rule_files.store(draft, clock.now(), actor_id=COMMAND, reason_code=Ground.OTHER, text=text)
    db.session.commit()
    if not loaded:
        click.echo(f"{draft.version} is loaded already; nothing to do.")
        return
    click.echo(f"{draft.version}: {len(draft.rules)} rules and {len(draft.templates)} templates, {_since(draft)}.")


@rules_group.command("cancel")
@click.argument("version")
@click.option("--text", required=True, help="Why, for the record.")
def cancel_rules(version: str, text: str) -> None:
    """Take back a rule set that is not in force yet; its version may be used again."""
    rule_files.cancel(version, clock.now(), actor_id=COMMAND, reason_code=Ground.OTHER, text=text)
    db.session.commit()
    click.echo(f"{version} is taken back; it was never in force.")


@rules_group.command("list")
def list_rules() -> None:
    """List the rule sets, the latest first; one is in force."""
    now, shown = clock.now(), False
    books = rules.books()
    for book in books:
        state = "later" if book.valid_from > now else "past" if shown else "in force"
        shown = shown or state == "in force"
        click.echo(f"{book.version:<24}  {state:<8}  {book.valid_from:%Y-%m-%d %H:%M} UTC  {book.digest[:16]}")
    if not books:
        click.echo("No rule set is loaded: what is registered for a purpose is the only cap.")
    elif not shown:
        click.echo("No rule set is in force at this time, so nothing can be asked. Is the clock right?")


def _checked(path: Path, valid_from: str) -> Draft:
    if path.stat().st_size > rule_files.MAX_BYTES:
        raise click.ClickException(f"{path.name} is larger than {rule_files.MAX_BYTES // 1024} KiB")
    return rule_files.check(path.name, path.read_bytes(), clock.now(), valid_from=valid_from)


def _since(draft: Draft) -> str:
    return f"in force from {draft.valid_from:%Y-%m-%d %H:%M} UTC"


def _preview(draft: Draft, *, named: bool) -> None:
    click.echo(f"{draft.version}: {len(draft.rules)} rules and {len(draft.templates)} templates, {_since(draft)}.")
    if draft.known:
        click.echo("It is loaded already.")
    for change in rule_files.changes(rules.in_force(clock.now()), draft.as_rules()):
        click.echo(f"{change.what}: {change.kind} {change.name}")
    for purpose in rule_files.without_template(draft):
        click.echo(f"without template: {purpose}")
    found: list[Refused] = []
    total = rule_preview.count_live()
    with click.progressbar(length=total, label="Looking at live consents") as bar:
        for batch in rule_preview.refused(draft.as_rules()):
            found += batch
            bar.update(rule_preview.BATCH)
            db.session.rollback()  # no transaction stays open over a million rows
    click.echo(f"{len(found)} of {total} live consents would be refused today.")
    for rule_id, count in Counter(r.rule_id or "(template)" for r in found).most_common():
        click.echo(f"{count:>8}  {rule_id}")
        same = [r for r in found if (r.rule_id or "(template)") == rule_id]
        for refused in same if named else same[:NAMED]:
            click.echo(f"          {refused.consent_id}: {refused.what}")
