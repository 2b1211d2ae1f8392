"""Certificates in words: what they are worth, what has happened to them, what they show."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from flask import url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext

from consent import certificate_issue, data_certificates
from consent.certificate_register import Line
from consent.certificate_standing import Standing, Why
from consent.data_certificates import By, CertificateStep, Step
from consent.sd_jwt import SdJwt
from consent.web import grounds, words
from consent.web.words import Label
from dataspace.catalogue import DataItem, in_language
from dataspace.web.values import MAX_ROWS, one, plain

STANDINGS: dict[Why | None, tuple[Label, str]] = {
    None: (lazy_gettext("Valid"), "good"),
    Why.REVOKED: (lazy_gettext("Revoked for good"), "danger"),
    Why.EXPIRED: (lazy_gettext("Expired"), "quiet"),
    Why.SUPERSEDED: (lazy_gettext("Corrected since"), "danger"),
    Why.HOLDER: (lazy_gettext("Frozen"), "caution"),
    Why.OFFICE: (lazy_gettext("Frozen by an administrator"), "danger"),
    Why.CONSENT: (lazy_gettext("Frozen with the authorization"), "caution"),
}
SUPERSEDED = lazy_gettext(
    "The authority has corrected this data since. Do not rely on the certificate: ask for a new one."
)
STEPS: dict[Step, tuple[Label, str]] = {
    Step.GENERATED: (lazy_gettext("Made and signed"), "good"),
    Step.STORED: (lazy_gettext("Stored in the space"), ""),
    Step.PRESENTED: (lazy_gettext("A link was made"), ""),
    Step.TAKEN_BACK: (lazy_gettext("A link was taken back"), ""),
    Step.USED: (lazy_gettext("Used"), "good"),
    Step.FROZEN: (lazy_gettext("Frozen"), "caution"),
    Step.THAWED: (lazy_gettext("Can be used again"), "good"),
    Step.REVOKED: (lazy_gettext("Revoked for good"), "danger"),
    Step.EXPIRED: (lazy_gettext("Expired"), ""),
    Step.SUPERSEDED: (lazy_gettext("Its data was corrected"), "danger"),
}
BY: dict[By, Label] = {
    By.HOLDER: lazy_gettext("The holder"),
    By.CLIENT: lazy_gettext("The third party"),
    By.RECEIVER: lazy_gettext("Who received it"),
    By.OFFICE: lazy_gettext("An administrator"),
    By.CONSENT: lazy_gettext("With the authorization"),
    By.TIME: lazy_gettext("Its time is over"),
    By.SOURCE: lazy_gettext("The authority"),
}
ABOUT: dict[str, Label] = {
    "subject": lazy_gettext("Whose data it is"),
    "subject_identifier": lazy_gettext("Identity number or code"),
    "recipient": lazy_gettext("Third party of the authorization"),
    "purpose": lazy_gettext("Purpose"),
    "consent": lazy_gettext("Number of the authorization"),
    "delivery": lazy_gettext("Number of the delivery"),
}


@dataclass(frozen=True, kw_only=True)
class Card:
    """One certificate in a list."""

    certificate_id: str
    item: str
    party: str
    purpose: str
    label: str
    tone: str
    facts: list[tuple[str, str]]


def card(line: Line, labels: dict[str, str], locale: str) -> Card:
    """A certificate as the register shows it."""
    label, tone = said(line.standing)
    row = line.certificate
    return Card(
        certificate_id=row.certificate_id,
        item=labels.get(row.item_id, str(_("something unknown"))),
        party=plain(line.client.name(locale)),
        purpose=plain(in_language(line.purpose, locale)),
        label=label,
        tone=tone,
        facts=[
            (str(_("Made")), words.date(row.issued_at)),
            (str(_("Valid until")), words.date(row.expires_at)),
            (str(_("Uses")), str(row.uses)),
        ],
    )


def said(standing: Standing) -> tuple[str, str]:
    """What a certificate is worth, in words, and its tone."""
    label, tone = STANDINGS[standing.why]
    return str(label), tone


def told_to_anybody(standing: Standing) -> tuple[str, str]:
    """The same in a sentence and its tone, without who has frozen it."""
    if standing.why is None:
        return _("Issued here, unchanged, and valid at this moment."), "good"
    if standing.why is Why.SUPERSEDED:
        return str(SUPERSEDED), "danger"
    if standing.why is Why.REVOKED:
        return _("It was revoked for good. Do not rely on it."), "danger"
    if standing.why is Why.EXPIRED:
        return _("Its time is over. Do not rely on it."), "danger"
    return _("It is frozen: do not rely on it unless it is released again."), "danger"


def timeline(steps: list[CertificateStep], item: DataItem, key: bytes, locale: str) -> list[dict[str, Any]]:
    """Its whole life, the newest first."""
    return [_event(step, item, key, locale) for step in reversed(steps)]


def _event(step: CertificateStep, item: DataItem, key: bytes, locale: str) -> dict[str, Any]:
    text, tone = STEPS[Step(step.kind)]
    note = data_certificates.note_of(step, key)
    parts = [grounds.label(step.reason_code), plain(note.get("text", ""))]
    if "receiver" in note:
        parts.append(_("for %(receiver)s", receiver=plain(note["receiver"])))
    if note.get("purpose"):
        parts.append(_("Only for this purpose: %(purpose)s", purpose=plain(note["purpose"])))
    if "shown" in note:
        names = [label_of(place, name, item, locale) for place, those in note["shown"].items() for name in those]
        parts.append(_("Shown: %(fields)s", fields=_(", ").join(names)))
    if "case_no" in note:
        parts.append(f"{_('Case number')} {plain(note['case_no'])}")
    proof = url_for("certificates.proof", certificate_id=step.certificate_id, seq=step.seq) if step.salt else ""
    return {
        "at": step.at,
        "text": text,
        "tone": tone,
        "who": BY[By(step.by)],
        "note": " · ".join(filter(None, parts)),
        "action": (proof, _("Download the proof")) if proof else None,
    }


def label_of(place: str, name: str, item: DataItem, locale: str) -> str:
    """What can be shown is called so."""
    return item.field_label(name, locale) if place == certificate_issue.DATA else str(ABOUT.get(name, name))


def choices(issued: SdJwt, item: DataItem, locale: str) -> list[dict[str, str]]:
    """Everything that can be shown: {name of the tick box, label, value}."""
    return [
        {
            "field": f"{place}.{name}",
            "label": label_of(place, name, item, locale),
            "value": value(issued.places[place][name].value, locale),
        }
        for place, name in _in_order(issued.places, item)
    ]


def pairs(disclosed: dict[str, dict[str, Any]], item: DataItem, locale: str) -> dict[str, list[tuple[str, str]]]:
    """What is shown, by place: (label, value)."""
    found: dict[str, list[tuple[str, str]]] = {place: [] for place in disclosed}
    for place, name in _in_order(disclosed, item):
        found[place].append((label_of(place, name, item, locale), value(disclosed[place][name], locale)))
    return found


def _in_order(there: Mapping[str, Collection[str]], item: DataItem) -> list[tuple[str, str]]:
    """What there is, by place and name: the data as the catalogue has them, then what is said about them."""
    known = [(certificate_issue.DATA, name) for name in item.field_ids()]
    known += [(certificate_issue.ABOUT, name) for name in ABOUT]
    return [(place, name) for place, name in known if name in there.get(place, ())]


def value(raw: Any, locale: str) -> str:
    """A value in one line; of several rows the first ones."""
    if isinstance(raw, list):
        more = _("and %(number)s more", number=len(raw) - MAX_ROWS) if len(raw) > MAX_ROWS else ""
        return str(_(", ")).join([*(one(part) for part in raw[:MAX_ROWS]), *([more] if more else [])])
    if isinstance(raw, dict):
        return plain(in_language(raw, locale)) if "zh_hans" in raw else plain(raw.get("id", ""))
    return one(raw)
