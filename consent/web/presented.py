"""Where a link to a certificate leads: its receiver opens it once, reads what was chosen, and takes the file along.

Looking at the page opens nothing: programs that look ahead at links use nobody's link up.
"""

from flask import Blueprint, Response, redirect, render_template, url_for
from flask_babel import get_locale
from werkzeug.wrappers import Response as AnyResponse

from consent import certificate_standing, presentations
from consent.certificate_issue import DATA
from consent.certificate_standing import Standing
from consent.data_certificates import NotPossible
from consent.presentations import LinkOver, Presentation, Seen, Sight
from consent.status_lists import Status
from consent.web import certificate_view
from dataspace import catalogue, clock
from dataspace.catalogue import in_language
from dataspace.db import db
from dataspace.web.limits import limited
from dataspace.web.shell import services
from dataspace.web.signin import browser_secret
from dataspace.web.values import between, plain

bp = Blueprint("presented", __name__, url_prefix="/presented")


@bp.get("/<secret>")
@limited("60/minute")
def show(secret: str) -> AnyResponse | tuple[str, int] | str:
    """Before it is opened: for whom it is; then, in that browser, what it shows."""
    now, row = clock.now(), presentations.find(secret)
    seen = presentations.sight(row, browser=browser_secret(), now=now)
    if seen is Sight.OVER:
        return render_template("certificates/over.html"), LinkOver.status
    if seen is Sight.CLOSED:
        receiver = plain(presentations.receiver_of(row, vault=services().vault))
        return render_template("certificates/closed.html", secret=secret, receiver=receiver, until=row.expires_at)
    return _shown(presentations.look(row, now, vault=services().vault), row, secret)


@bp.post("/<secret>")
@limited("30/minute")
def open_it(secret: str) -> AnyResponse | tuple[str, int]:
    """Open it, in this browser and no other."""
    now, row = clock.now(), presentations.find(secret)
    try:
        presentations.open_link(row, browser=browser_secret(), now=now, vault=services().vault)
    except LinkOver:
        db.session.rollback()
        if presentations.sight(presentations.find(secret), browser=browser_secret(), now=now) is not Sight.OPEN:
            return render_template("certificates/over.html"), LinkOver.status
    except NotPossible:
        db.session.rollback()
        return _stopped(certificate_standing.standing(row.certificate_id, now))
    db.session.commit()
    return redirect(url_for("presented.show", secret=secret), 303)


@bp.get("/<secret>/certificate.sd-jwt")
@limited("60/minute")
def download(secret: str) -> AnyResponse | tuple[str, int]:
    """What was shown, as the signed file: it is checked without us."""
    now, row = clock.now(), presentations.find(secret)
    if presentations.sight(row, browser=browser_secret(), now=now) is not Sight.OPEN:
        return render_template("certificates/over.html"), LinkOver.status
    seen = presentations.look(row, now, vault=services().vault)
    if seen.standing.status is not Status.VALID:
        return _stopped(seen.standing)
    response = Response(seen.text, mimetype="application/dc+sd-jwt")
    name = f"{seen.certificate.certificate_id}.sd-jwt"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _stopped(standing: Standing) -> tuple[str, int]:
    told = certificate_view.told_to_anybody(standing)
    return render_template("certificates/over.html", told=told), NotPossible.status


def _shown(seen: Seen, row: Presentation, secret: str) -> str:
    locale = str(get_locale())
    version = (seen.certificate.item_id, seen.certificate.item_version)
    item = catalogue.versions([version])[version]
    pairs = certificate_view.pairs(seen.disclosed, item, locale)
    label, tone = certificate_view.said(seen.standing)
    said = seen.says["item"]
    return render_template(
        "certificates/shown.html",
        secret=secret,
        valid=seen.standing.status is Status.VALID,
        told=certificate_view.told_to_anybody(seen.standing),
        label=label,
        tone=tone,
        receiver=plain(seen.receiver),
        purpose=plain(seen.purpose),
        item=in_language(said["label"], locale),
        authority=in_language(said["source"]["authority"], locale),
        as_of=said["as_of"][:10],
        period=between(said["period"]["from"], said["period"]["to"]) if said["period"] else "",
        certificate=seen.certificate,
        seen_until=row.seen_until,
        data=pairs[DATA],
        about=[pair for place, those in pairs.items() if place != DATA for pair in those],
        hidden=len(seen.certificate.field_ids) - len(pairs[DATA]),
        status_uri=seen.says["status"]["status_list"]["uri"],
    )
