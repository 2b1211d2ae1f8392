"""Rule sets: those that are loaded; a new one is looked at first, with what it would refuse, and then loaded.

Nothing is kept between the look and the loading: the form brings the text again, and it is checked again.
"""

from collections import Counter
from dataclasses import dataclass

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from consent import interventions, rule_files, rule_preview, rules
from consent.interventions import ReasonMissing
from consent.rule_files import AlreadyInForce, Change, Draft
from consent.rule_preview import Refused
from consent.terms import InvalidTerms
from consent.web import grounds
from dataspace import clock
from dataspace.db import db
from dataspace.errors import InvalidFile
from dataspace.web.passkeys import FRESH
from dataspace.web.signin import require_fresh, the_actor

LOOKED_AT = 2000  # live consents, the newest; the command looks at all of them
NAMED = 5  # consents that are named for each rule
FILE = "rules"


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a checked set would do. ``refused``: (rule, how many consents, the first of them)."""

    draft: Draft
    changes: list[Change]
    without_template: list[str]
    live: int
    refused: list[tuple[str, int, list[Refused]]]

    @property
    def looked_at(self) -> int:
        """How many live consents were looked at."""
        return min(self.live, LOOKED_AT)

    @property
    def refused_count(self) -> int:
        """How many of them would be refused today."""
        return sum(count for _rule, count, _first in self.refused)


def index() -> str:
    """The sets that are loaded, and the form for a new one."""
    return _page(cancels=request.args.get("cancel", ""))


def preview() -> str | tuple[str, int]:
    """What is wrong with a set, or what it would change and refuse. Loads nothing."""
    text = _text()
    try:
        draft = _checked(text)
    except InvalidFile as error:
        return _page(text=text, problems=error.problems), error.status
    return _page(text=text, seen=_look(draft))


def load() -> AnyResponse | str | tuple[str, int]:
    """Load a set for a stated reason; it judges every request from its first moment on."""
    form, now, text = request.form, clock.now(), _text()
    require_fresh(the_actor(), now, max_age=FRESH)
    try:
        draft = _checked(text)
        reason = interventions.state(form.get("ground", ""), form.get("text", ""), allowed=interventions.RULES)
    except InvalidFile as error:
        return _page(text=text, problems=error.problems), error.status
    except ReasonMissing as error:
        return _page(text=text, seen=_look(draft), error=_(error.sentence)), error.status
    loaded = rule_files.store(draft, now, actor_id=the_actor().person_id, reason_code=reason.ground, text=reason.text)
    db.session.commit()
    if loaded:
        flash(_("The rules %(version)s are loaded.", version=draft.version))
    else:
        flash(_("These rules are loaded already. Nothing was changed."), "info")
    return redirect(url_for("admin.rules"), 303)


def cancel(version: str) -> AnyResponse | str | tuple[str, int]:
    """Take back a set that waits, for a stated reason. What is in force already stays."""
    form, now = request.form, clock.now()
    require_fresh(the_actor(), now, max_age=FRESH)
    try:
        reason = interventions.state(form.get("ground", ""), form.get("text", ""), allowed=interventions.RULES)
        by = the_actor().person_id
        rule_files.cancel(version, now, actor_id=by, reason_code=reason.ground, text=reason.text)
    except ReasonMissing as error:
        return _page(cancels=version, error=_(error.sentence)), error.status
    except AlreadyInForce as error:
        return _page(problem=_(error.sentence)), error.status
    db.session.commit()
    flash(_("The rules %(version)s are taken back. They were never in force.", version=version))
    return redirect(url_for("admin.rules"), 303)


def _text() -> str:
    """What was pasted; a browser ends lines its own way."""
    return request.form.get("rules", "").replace("\r\n", "\n")


def _checked(text: str) -> Draft:
    return rule_files.check(FILE, text.encode(), clock.now(), valid_from=request.form.get("valid_from", "").strip())


def _look(draft: Draft) -> Preview:
    try:
        current = rules.in_force(clock.now())
    except InvalidTerms:
        current = rules.NO_RULES  # sets are loaded and none counts yet
    found = [refused for batch in rule_preview.refused(draft.as_rules(), limit=LOOKED_AT) for refused in batch]
    by_rule = Counter(refused.rule_id for refused in found)
    return Preview(
        draft=draft,
        changes=rule_files.changes(current, draft.as_rules()),
        without_template=rule_files.without_template(draft),
        live=rule_preview.count_live(),
        refused=[
            (rule_id, count, [refused for refused in found if refused.rule_id == rule_id][:NAMED])
            for rule_id, count in by_rule.most_common()
        ],
    )


def _page(
    *, text: str = "", problems: list[str] | None = None, seen: Preview | None = None, cancels: str = "",
    problem: str = "", error: str = "",
) -> str:  # fmt: skip
    now, books = clock.now(), rules.books()
    in_force = next((book.version for book in books if book.valid_from <= now), "")
    return render_template(
        "admin/rules.html",
        books=[
            (book, "later" if book.valid_from > now else "now" if book.version == in_force else "past")
            for book in books
        ],
        rules=text,
        valid_from=request.form.get("valid_from", ""),
        problems=problems or [],
        problem=problem,
        cancels=next((book.version for book in books if book.version == cancels and book.valid_from > now), ""),
        seen=seen,
        words={
            "added": _("New"),
            "removed": _("Removed"),
            "changed": _("Changed"),
            "rule": _("rule"),
            "template": _("template"),
        },
        grounds=grounds.options(interventions.RULES),
        form=request.form,
        error=error,
    )
