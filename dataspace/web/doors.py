"""The doors of the two faces: the addresses at which the province's applications for persons and for companies open us.

``/m/citizen`` and ``/m/business`` lead to the first page, or to the path in ``next``, in the face of their name; who is
not signed in signs in on the way. A door only asks whom to act for and changes nothing by itself: the link may be
anybody's.
"""

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from dataspace import clock, holders, signins
from dataspace.web.faces import BUSINESS, CITIZEN, FACES
from dataspace.web.shell import services
from dataspace.web.signin import HOME, local_path, the_actor

bp = Blueprint("doors", __name__, url_prefix="/m")


@bp.get("/citizen")
def citizen() -> str | Response:
    """To what is one's own, or a child's."""
    return _enter(CITIZEN)


@bp.get("/business")
def business() -> str | Response:
    """To what is a company's: which one is asked first."""
    return _enter(BUSINESS)


def _enter(face: str) -> str | Response:
    actor = the_actor()
    next_path = local_path(request.args.get("next")) or HOME
    if FACES[actor.capacity] == face:
        return redirect(next_path, 303)
    found = [c for c in signins.choices(actor.person_id, clock.now()) if FACES[c.capacity] == face]
    if not found:
        return render_template("signin/no_company.html")
    names = holders.profiles({c.holder_id for c in found}, vault=services().vault)
    page = {"choices": found, "names": names, "current": "", "next": next_path, "switch_url": ""}
    return render_template("signin/act_as.html", door=face, **page)
