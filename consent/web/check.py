"""Checking what somebody holds: anybody may, without signing in, and nothing of it is kept.

A receipt in any of its forms, or the link of its QR code; or a certificate. Whatever else comes to be checked here is
recognised in :func:`check`, has a finding of its own and a part of the page.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from flask import Blueprint, render_template, request
from flask_babel import format_date, get_locale, lazy_gettext
from flask_babel import gettext as _

from consent import certificate_check, receipt_check, receipts
from consent.proof_check import Fault
from consent.receipt_check import Finding, InLog, Verdict
from consent.records import OPEN, Consent
from consent.web import checked_certificate, words
from consent.web.context import registry
from consent.web.receipt_view import ReceiptView
from dataspace import clock
from dataspace.catalogue import in_language
from dataspace.db import db
from dataspace.web.limits import limited
from dataspace.web.signin import current_actor
from dataspace.web.values import one

bp = Blueprint("check", __name__, url_prefix="/check")

# The parts of a receipt, as far as a page has a word for them: what does not fit is named by it.
PARTS: dict[str, Any] = {
    "head": lazy_gettext("number, date or state of the receipt"),
    "words": lazy_gettext("the sentence that says what happened"),
    "event": lazy_gettext("when, by whom and in which way it happened"),
    "notice": lazy_gettext("the text as it was shown"),
    "consent/head": lazy_gettext("number, version or date of the authorization"),
    "consent/recipient": lazy_gettext("who receives the data"),
    "consent/purpose": lazy_gettext("what for"),
    "consent/use": lazy_gettext("how long and how often it may be read"),
    "consent/retention": lazy_gettext("how long the data is kept"),
    "consent/third_parties": lazy_gettext("to whom else it is given"),
    "consent/cross_border": lazy_gettext("where abroad it goes"),
}
# What of a proof from the log does not match.
FAULTS: dict[Fault, Any] = {
    Fault.UNREADABLE: lazy_gettext("It cannot be read as a proof."),
    Fault.STATEMENT: lazy_gettext("What it states was changed: it does not lead to the entry in the log."),
    Fault.OTHER_THING: lazy_gettext("It is the proof of something else."),
    Fault.OTHER_LOG: lazy_gettext("It comes from another log than ours."),
    Fault.SIGNATURE: lazy_gettext("The signature on the head of the log does not fit: it was changed."),
    Fault.PATH: lazy_gettext("It does not lead from the entry to the head of the log: it was changed."),
}


@dataclass(frozen=True, kw_only=True)
class Standing:
    """Whether what a genuine receipt tells still holds, as far as the one who looks may know.

    ``yours``: the page of the authorization, for its holder who is signed in.
    """

    sentence: str
    yours: str = ""


@bp.get("")
@limited("60/minute")
def page() -> str:
    """Where something can be checked; with the number and fingerprint of a QR code, whether there is such a receipt."""
    return _page(known=_known(request.args.get("receipt", ""), request.args.get("digest", "")))


@bp.post("")
@limited("30/minute")
def check() -> str:
    """Check what was brought: a file, or pasted text. It is not kept."""
    file = request.files.get("file")
    pasted = request.form.get("pasted", "").strip()
    brought = (file.read() if file else b"") or pasted.encode("utf-8", "replace")
    if brought.startswith((b"https://", b"http://")):
        return _of_link(brought.decode("utf-8", "replace"))
    now = clock.now()
    if certificate_check.is_one(brought):
        checked = certificate_check.check(brought, now, registry=registry())
        return _page(certificate=checked_certificate.of(checked, _locale()))
    finding = receipt_check.check(brought, now, keyring=registry().keyring)
    if finding.content is None:
        return _page(finding=finding, wrong=_names(finding))
    return _page(
        finding=finding,
        receipt=ReceiptView.of(finding.content, _locale(), own=False),
        standing=_standing(finding.content, now),
        does_not_match=FAULTS[finding.fault] if finding.fault else "",
    )


def _page(**found: Any) -> str:
    said = {"known": None, "finding": None, "certificate": None, "elsewhere": False} | found
    return render_template("check/index.html", verdict=Verdict, log=InLog, **said)


def _known(number: str, fingerprint: str) -> bool | None:
    """Whether there is such a receipt; None when nobody asks."""
    return receipts.issued(number, fingerprint) is not None if number and fingerprint else None


def _of_link(unverified: str) -> str:
    """What the QR code on paper says, read by another program and pasted."""
    try:
        link = urlsplit(unverified)
        query = parse_qs(link.query)
    except ValueError:
        return _page(finding=Finding(verdict=Verdict.UNREADABLE))
    if f"{link.scheme}://{link.netloc}{link.path}" != f"{registry().issuer}{bp.url_prefix}":
        return _page(elsewhere=True)
    number, fingerprint = ((query.get(name) or ["?"])[0] for name in ("receipt", "digest"))
    return _page(known=_known(number, fingerprint))


def _standing(content: dict[str, Any], now: dt.datetime) -> Standing:
    """What stands in the receipt is told to anybody; what became of it since, to its holder alone.

    Whoever has come by an old receipt would else learn from us that somebody has stopped what she had agreed to.
    """
    document = content["consent"]
    consent = db.session.get(Consent, document["consent_id"])
    actor = current_actor()
    if consent is not None and actor is not None and actor.space_id == consent.space_id:
        state = str(words.STATES[consent.state])
        return Standing(
            sentence=_("Today: %(state)s. This line is for you alone.", state=state), yours=consent.consent_id
        )
    if content["status"] not in OPEN:
        return Standing(sentence=_("By this receipt nothing may be read any more."))
    until = dt.datetime.fromisoformat(document["use"]["expires_at"])
    day = format_date(until, "long")
    if until <= now:
        return Standing(sentence=_("It ended on %(day)s at the latest.", day=day))
    return Standing(
        sentence=_(
            "It ends on %(day)s, or earlier if it was stopped. Whether it was, only its holder sees here, and the one "
            "who reads learns it.",
            day=day,
        )
    )


def _names(finding: Finding) -> list[str]:
    """What does not fit, in words, each once. A label may be anybody's: it is cut, and escaped where it is shown."""
    return list(dict.fromkeys(_name(name, part) for name, part in sorted((finding.wrong or {}).items())))


def _name(name: str, part: Any) -> str:
    if name.startswith("consent/items/"):
        label = part.get("label") if isinstance(part, dict) else None
        known = label if isinstance(label, dict) and "zh_hans" in label else {"zh_hans": "?"}
        return str(_("the data item “%(label)s”", label=one(in_language(known, _locale()))))
    return str(PARTS.get(name) or _("another part of the authorization"))


def _locale() -> str:
    return str(get_locale() or "zh_Hans")
