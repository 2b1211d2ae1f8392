"""A copy of everything: ask for it, see how far it is, fetch it for seven days, remove it."""

import datetime as dt

from flask import Blueprint, Response, flash, redirect, render_template, url_for
from flask_babel import get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response as AnyResponse

from consent import archives
from consent.archives import Archive, ArchiveLimit, Content, Everything
from consent.web import archive_files, archive_pages, packages
from consent.web.context import registry
from consent.web.freshness import FRESH
from consent.worker import write_archive
from dataspace import clock
from dataspace.db import db
from dataspace.errors import NotAllowed
from dataspace.web.limits import limited
from dataspace.web.signin import require_fresh, require_holder, the_actor

bp = Blueprint("archives", __name__, url_prefix="/archive")


@bp.get("")
@require_holder
def index() -> str:
    """What a copy holds, and the copies of the last days."""
    return _page()


@bp.post("")
@limited("20/hour")
@require_holder
def ask() -> AnyResponse | tuple[str, int]:
    """Ask for one; a worker makes it."""
    actor, now = the_actor(), clock.now()
    require_fresh(actor, now, max_age=FRESH)
    try:
        archives.ask(actor, str(get_locale()), now)
    except ArchiveLimit as error:
        return _page(error=_(error.sentence)), error.status
    db.session.commit()
    flash(_("Your copy is being made. You get a message when it is ready."))
    return redirect(url_for("archives.index"), 303)


@bp.get("/<archive_id>/archive.zip")
@limited("30/hour")
@require_holder
def fetch(archive_id: str) -> Response:
    """The file, sent as it is read."""
    actor, now = the_actor(), clock.now()
    archive = archives.get(archive_id, actor)
    require_fresh(actor, now, max_age=FRESH)
    return archive_files.send(archive, f"dataspace-{archive.asked_at:%Y%m%d}-{archive_id[-6:]}.zip", now)


@bp.post("/<archive_id>/discard")
@require_holder
def discard(archive_id: str) -> AnyResponse:
    """It is not wanted any more."""
    archives.discard(archives.get(archive_id, the_actor()))
    db.session.commit()
    flash(_("The copy was removed."))
    return redirect(url_for("archives.index"), 303)


def make_archives() -> int:
    """Make what waits, as the worker does; returns how many. Raises SweepFailed."""
    made = 0
    while write_archive(clock.now, content, registry=registry()):
        made += 1
    return made


def content(archive: Archive, now: dt.datetime) -> Content:
    """What is in a copy of everything, or in what proves one authorization, with the texts for people."""
    if archive.consent_id is not None:
        return packages.content(archive, now)
    return Everything(archive, archive_pages.parts, now, registry=registry())


def _page(*, error: str = "") -> str:
    actor, now = the_actor(), clock.now()
    if not archives.may_ask(actor):
        raise NotAllowed("only who decides alone takes out everything")
    found = archive_files.views(archives.of_space(actor.space_id), now)
    making = archive_files.is_making(found)
    return render_template("archive/index.html", archives=found, making=making, days=archives.KEPT.days, error=error)
