"""How it is decided who may read what, for anybody: the gate in its order, what people decide, what is never done.

The page is made from one table of steps and the sentences that the log of reads shows (:mod:`consent.web.words`); a
reason that a read can be refused for and that no step names makes a test fail.
"""

from dataclasses import dataclass

from flask import Blueprint, render_template
from flask_babel import lazy_gettext

from consent.records import Reason
from consent.web import words
from consent.web.words import Label

bp = Blueprint("explanation", __name__)


@dataclass(frozen=True)
class Step:
    """One thing that the gate looks at, and for which reasons it refuses."""

    title: Label
    sentence: Label
    reasons: tuple[str, ...] = ()


# In the order in which a read meets them (consent.oauth.validator, records.why_inactive, dataspace.web.api).
GATE: tuple[Step, ...] = (
    Step(
        lazy_gettext("Who is it?"),
        lazy_gettext("The third party proves with a key of its own that it is the one you gave it to."),
        ("invalid_token", "invalid_dpop_proof"),
    ),
    Step(
        lazy_gettext("Is the authorization in force?"),
        lazy_gettext("What counts is how it stands at this moment. What you have stopped is stopped at once."),
        (
            Reason.WITHDRAWN,
            Reason.PAUSED,
            Reason.SUSPENDED,
            Reason.INVALIDATED,
            Reason.PENDING,
            Reason.REFUSED,
            Reason.REJECTED,
            Reason.LAPSED,
            Reason.NOT_YET_VALID,
            Reason.EXPIRED,
            Reason.QUOTA_EXHAUSTED,
        ),
    ),
    Step(
        lazy_gettext("Are both sides still there?"),
        lazy_gettext("The third party is in good standing, and whoever agreed for you may still act for you."),
        (Reason.TERMINATED, Reason.CLIENT_SUSPENDED, Reason.SPACE_CLOSED, Reason.MANDATE_ENDED),
    ),
    Step(
        lazy_gettext("Is it the data that you gave?"),
        lazy_gettext("Only the items, details and time that you chose leave, in the form that you chose."),
        (
            "insufficient_scope",
            "purpose_mismatch",
            "case_required",
            "case_mismatch",
            "insufficient_user_authentication",
            "item_not_granted",
            "item_verify_only",
            "view_only",
            "too_many_comparisons",
            "item_regraded",
            "data_erased",
        ),
    ),
    Step(
        lazy_gettext("Has it come too often?"),
        lazy_gettext("Every read is counted. More than you allowed is not possible."),
        ("frequency_exceeded",),
    ),
    Step(
        lazy_gettext("Does a law allow it instead?"),
        lazy_gettext(
            "An authority that reads by law needs a power that two administrators have approved, and a case number. "
            "You are told, and you can object."
        ),
        ("power_ended", "power_suspended", "outside_power", "case_limit_reached", "day_limit_reached"),
    ),
    Step(
        lazy_gettext("Is it written down?"),
        lazy_gettext("The read is written into your log before the data leaves. Without that line nothing leaves."),
    ),
)

# Before a request reaches the holder: what the machine compares (consent.terms, purposes, rules, refusals).
ASKED: tuple[Label, ...] = (
    lazy_gettext("Every request has one purpose, and every item has its reason."),
    lazy_gettext("Only what is registered for this purpose can be asked for."),
    lazy_gettext("Rules limit how long, how often and how far back. What goes beyond them never reaches you."),
    lazy_gettext("After a refusal the same request has to wait."),
)
PEOPLE: tuple[Label, ...] = (
    lazy_gettext("You agree or refuse. For a company a second person may have to approve."),
    lazy_gettext("Administrators find out who a third party is. Until they have, the request says so."),
    lazy_gettext("They decide which purposes a third party may ask for."),
    lazy_gettext("They can suspend or revoke an authorization. They must say why, and you are told."),
    lazy_gettext("They answer complaints and requests, each by a set day."),
)
NEVER: tuple[Label, ...] = (
    lazy_gettext("No machine agrees for you. Silence is never agreement."),
    lazy_gettext(
        "No third party reads anything without a line in your log. If a law has it shown later, a day is set."
    ),
    lazy_gettext("Administrators do not see what your data says."),
    lazy_gettext("Nothing is calculated about you to rate you."),
    lazy_gettext("Your data is not sold, and it is not used for advertising."),
    lazy_gettext("Nobody asks you for a password. There is none."),
)


@bp.get("/explanation")
def page() -> str:
    """The page, the same for everybody."""
    return render_template(
        "explanation.html",
        steps=[(step, [(anchor(reason), words.why(reason)) for reason in step.reasons]) for step in GATE],
        asked=ASKED,
        people=PEOPLE,
        never=NEVER,
    )


def place(reason: str) -> str:
    """Where on the page a reason for which a read was refused stands; the gate as a whole for an unknown one."""
    known = any(reason in step.reasons for step in GATE)
    return anchor(reason) if known else "gate"


def anchor(reason: str) -> str:
    """The name of a reason within the page."""
    return reason.replace("_", "-")
