"""The grounds on which administrators step in, in the reader's language; holders and administrators read the same."""

from collections.abc import Iterable

from flask_babel import lazy_gettext

from consent.amendments import LAST_ITEM, REQUIRED_ITEM
from consent.interventions import Ground
from consent.records import ConsentEvent
from consent.web.words import Label
from dataspace.web.values import plain

GROUNDS: dict[str, Label] = {
    Ground.AUTHORITY_DECISION: lazy_gettext("Decision of a court or authority"),
    Ground.IDENTITY_ERROR: lazy_gettext("Given in the name of the wrong person or body"),
    Ground.FRAUD: lazy_gettext("Fraud or pressure"),
    Ground.HOLDER_REQUEST: lazy_gettext("At the request of the holder"),
    Ground.CLIENT_MISUSE: lazy_gettext("Misuse by the third party"),
    Ground.CLIENT_REQUEST: lazy_gettext("At the request of the third party"),
    Ground.ACCREDITATION_ENDED: lazy_gettext("Accreditation ended"),
    Ground.SECURITY_INCIDENT: lazy_gettext("Security incident"),
    Ground.REGISTRATION: lazy_gettext("Registration"),
    Ground.CORRECTION: lazy_gettext("Correction"),
    Ground.KEY_CHANGE: lazy_gettext("Change of keys"),
    Ground.RESOLVED: lazy_gettext("The cause is resolved"),
    Ground.LEGAL_DUTY: lazy_gettext("The law has it kept"),
    Ground.SUBJECT_DIED: lazy_gettext("The holder has died"),
    Ground.OTHER: lazy_gettext("Another reason"),
    REQUIRED_ITEM: lazy_gettext("An item that it cannot do without was stopped"),
    LAST_ITEM: lazy_gettext("Its last item was stopped"),
    "scenario_file": lazy_gettext("Loaded from a scenario file"),
    "self": lazy_gettext("By the third party itself"),
}


def label(code: str | None) -> str:
    """A ground in words; empty when there is none, and for a code that nobody here has words for."""
    return str(GROUNDS.get(code, "")) if code else ""


def said(event: ConsentEvent) -> str:
    """Why something happened: the ground and what was written with it; empty when nothing was said."""
    return " · ".join(filter(None, [label(event.reason_code), plain(event.text)]))


def options(grounds: Iterable[Ground]) -> list[tuple[str, str]]:
    """The choices of a select field."""
    return [(ground.value, label(ground)) for ground in grounds]
