"""A receipt in words: what its page, its PDF and the check of a genuine one show, made from nothing but the receipt.

Only what fields are called comes from the catalogue, whose versions never change.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

from flask_babel import format_date, format_time
from flask_babel import gettext as _

from consent.differences import Difference
from consent.web import asking, changes, grounds, words
from dataspace import catalogue
from dataspace.catalogue import in_language
from dataspace.mandates import Capacity
from dataspace.web import values
from dataspace.web.values import plain

Pairs = list[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class ItemView:
    """One data item: what it is called, whether it was given, and everything that was said about it."""

    label: str
    state: str
    sensitive: bool
    pairs: Pairs


@dataclass(frozen=True, kw_only=True)
class ReceiptView:
    """A receipt. ``what``: the sentence that says what happened; ``shown``: the text as it was shown.

    ``status``, ``state``: the state then, as code and as word; ``changes``: what it changed, each with its values.
    """

    receipt_id: str
    consent_id: str
    what: str
    how_to_stop: str
    status: str
    state: str
    party: Pairs
    purpose: str
    reference_no: str
    items: tuple[ItemView, ...]
    terms: Pairs
    event: Pairs
    changes: Pairs
    proof: Pairs
    shown: str

    @classmethod
    def of(cls, content: dict[str, Any], locale: str, *, own: bool = True) -> "ReceiptView":
        """What a receipt says, in the reader's language; ``own``: the reader is its holder."""
        document, said = content["consent"], content["words"]
        purpose = document["purpose"]
        return cls(
            receipt_id=content["receipt_id"],
            consent_id=document["consent_id"],
            what=in_language(said["what"], locale),
            how_to_stop=in_language(said["withdraw"], locale) if said["withdraw"] else "",
            status=content["status"],
            state=str(words.STATES[content["status"]]),
            party=_party(document["recipient"], locale),
            purpose=plain(in_language(purpose["text"], locale)),
            reference_no=plain(purpose["reference_no"] or ""),
            items=_items(document, locale),
            terms=_terms(document, locale),
            event=_event(content, locale, own=own),
            changes=_changes(content, locale),
            proof=_proof(content),
            shown=plain(content["notice"]["text"]),
        )


def _said(*pairs: tuple[str, object]) -> Pairs:
    """The pairs that have something to say."""
    return [(str(label), str(value)) for label, value in pairs if value]


def moment(text: str) -> str:
    """A moment of a receipt in the reader's language, to the second."""
    at = dt.datetime.fromisoformat(text)
    return str(_("%(day)s, %(time)s (Beijing time)", day=format_date(at, "long"), time=format_time(at, "HH:mm:ss")))


def _party(recipient: dict[str, Any], locale: str) -> Pairs:
    accreditation = recipient["accreditation"] or {}
    number = " · ".join(filter(None, (accreditation.get("number", ""), accreditation.get("level", ""))))
    return _said(
        (_("Name"), plain(in_language(recipient["legal_name"], locale))),
        (_("Registration code"), plain(recipient["uscc"] or recipient["foreign_registration"] or "")),
        (_("Accreditation"), plain(number)),
        (_("Address"), plain(recipient["address"] or "")),
        (_("Contact"), plain(recipient["contact"] or "")),
        (_("Privacy officer"), plain(recipient["privacy_officer"] or "")),
    )


def _items(document: dict[str, Any], locale: str) -> tuple[ItemView, ...]:
    entries = catalogue.versions([(i["item_id"], i["item_version"]) for i in document["items"]])
    return tuple(_item(item, entries, document["use"]["mode"], locale) for item in document["items"])


def _item(item: dict[str, Any], entries: dict[Any, catalogue.DataItem], mode: str, locale: str) -> ItemView:
    entry = entries.get((item["item_id"], item["item_version"]))
    fields = [entry.field_label(f, locale) for f in item["fields"]] if entry else []
    _short, how = words.delivery(item["delivery"], mode)
    impact = item["impact_text"]
    return ItemView(
        label=in_language(item["label"], locale),
        state=str(_("Given") if item["chosen"] else _("Not given")),
        sensitive=item["separate_step"],
        pairs=_said(
            (_("Why"), plain(in_language(item["reason"], locale))),
            (_("In what form"), how),
            (_("What it can mean for you"), in_language(impact, locale) if impact else ""),
            (_("Source"), in_language(item["source_authority"], locale)),
            (_("Period"), values.period(item["range"]["from"], item["range"]["to"])),
            (_("Every field that is read"), _(", ").join(fields)),
        ),
    )


def _terms(document: dict[str, Any], locale: str) -> Pairs:
    use, retention, processing = document["use"], document["retention"], document["processing"]
    kept, border = plain(in_language(retention["text"], locale)), document["cross_border"] or {}
    where = plain(in_language(retention["storage_location"], locale)) if retention["storage_location"] else ""
    forms = [i["delivery"] for i in document["items"]]
    others = _("; ").join(asking.third_party(t, locale) for t in document["third_parties"])
    contact = plain(document["recipient"]["contact"] or "")
    automated = str(words.AUTOMATED.get(processing["automated_decision"], ""))
    return _said(
        (_("They learn"), _(", ").join(words.facts(document["claims"]))),
        (_("From"), moment(use["not_before"])),
        (_("Expires"), moment(use["expires_at"])),
        (_("How often"), words.use(use, forms)),
        (_("They keep it"), words.paragraph(kept, _("Kept in: %(place)s.", place=where) if where else "")),
        (_("Also given to"), others or _("nobody")),
        (_("Abroad"), plain(border.get("country_region", "")) or _("no")),
        (_("Who receives it"), plain(border.get("recipient", ""))),
        (_("Under which rule"), plain(border.get("mechanism", ""))),
        (_("Filing number"), plain(border.get("filing_no", ""))),
        (_("What is done with it"), plain(in_language(processing["methods"], locale)) if processing["methods"] else ""),
        (_("Decision by computer"), automated.replace("%(contact)s", contact)),
    )


def _event(content: dict[str, Any], locale: str, *, own: bool) -> Pairs:
    event = content["event"]
    said = " · ".join(filter(None, (grounds.label(event["reason_code"]), plain(event["text"]))))
    return _said(
        (_("When"), moment(event["at"])),
        (_("By whom"), _by(event, content["consent"], locale, own=own)),
        (_("Reason"), said),
    )


def _changes(content: dict[str, Any], locale: str) -> Pairs:
    """What the event changed, as it was signed; an item that is no part of the document any more has today's name."""
    found = [Difference.from_document(one) for one in content["event"]["changes"] or ()]
    if not found:
        return []
    of_document = {i["item_id"]: i["item_version"] for i in content["consent"]["items"]}
    entries = catalogue.versions(list(of_document.items()))
    named = {d.attribute.split("/")[1] for d in found if d.attribute.startswith("items/")} - set(of_document)
    items = catalogue.current(named) | {entry.item_id: entry for entry in entries.values()}
    return changes.told(found, items, locale)


def _by(event: dict[str, Any], document: dict[str, Any], locale: str, *, own: bool) -> str:
    """In which capacity somebody acted; who it was, the text as it was shown says."""
    if event["capacity"] == Capacity.SELF:
        return str(_("by yourself") if own else _("by the holder"))
    if event["capacity"]:
        return str(words.CAPACITIES[event["capacity"]])
    if event["channel"] == "client":
        return plain(in_language(document["recipient"]["legal_name"], locale))
    return str(_("by itself"))


def _proof(content: dict[str, Any]) -> Pairs:
    document = content["consent"]
    return _said(
        (_("Receipt number"), content["receipt_id"]),
        (_("Written at"), moment(content["issued_at"])),
        (_("Signed by"), content["issuer"]),
        (_("Version of the authorization"), document["version"]),
        (_("Fingerprint of the authorization"), content["consent_digest"].partition(":")[2]),
        (_("Fingerprint of the text as it was shown"), content["notice"]["digest"]),
    )
