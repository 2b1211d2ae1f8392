"""What a page shows of one request or one consent, in the reader's language: who, why, what, how long, and the rest.

Built once from the request (or from the document of a consent) and the holder's own records; the screens and the text
that is kept as proof (check C-26) are made from the same values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_babel import gettext as _

from consent.asks import Ask, AskItem
from consent.clients import Client
from consent.web import words
from consent.web.party import Party
from consent.web.wording import GROWN_UP, Wording
from dataspace import catalogue, clock, spaces
from dataspace.catalogue import DataItem, in_language, in_period, of_groups
from dataspace.spaces import Held, Row
from dataspace.vault import Vault
from dataspace.web import values
from dataspace.web.values import Pairs, plain


@dataclass(frozen=True, kw_only=True)
class ShownItem:
    """One data group. ``period``, ``between``: how many and which months may be read; ``covers``: what there is of it.

    ``held``: None when the record was not looked at. ``preview``: (label, value) of the very values; ``more``: rows
    that the preview leaves out. ``ticks``: (id, label) of the fields that leave only if they are ticked, which
    ``fields`` does not name; ``shorter``: (months, label) of the shorter periods on offer. ``form``, ``how``: in what
    form it leaves, in two words and in a sentence; empty for a copy of the data.
    """

    item_id: str
    label: str
    source: str
    fields: tuple[str, ...]
    ticks: tuple[tuple[str, str], ...]
    shorter: tuple[tuple[str, str], ...]
    required: bool
    sensitive: bool
    reason: str
    impact: str
    form: str
    how: str
    period: str
    between: str
    held: bool | None
    as_of: Any
    covers: str
    preview: Pairs
    more: int


@dataclass(frozen=True, kw_only=True)
class Asking:
    """The answers of the page, in the order of check C-01. ``say``: what it calls things."""

    ask: Ask
    say: Wording
    party: Party
    purpose: str
    reference_no: str
    items: tuple[ShownItem, ...]
    days: str
    unusual: tuple[str, ...]  # sentences: it asks for longer, more often or further back than usual (check C-09)
    kept: str
    kept_at: str
    how_often: str
    methods: str
    automated: str
    third_parties: tuple[str, ...]
    abroad: str
    cross_border: dict[str, str]

    @property
    def kept_where(self) -> str:
        """How long the third party keeps it, and where."""
        if not self.kept_at:
            return self.kept
        where = _("Kept in: %(place)s.", place=self.kept_at)
        return words.paragraph(self.kept, where)

    def item(self, item_id: str) -> ShownItem:
        """One of the items. Raises KeyError."""
        return {i.item_id: i for i in self.items}[item_id]


def look(
    ask: Ask,
    client: Client,
    locale: str,
    *,
    space_id: str = "",
    vault: Vault | None = None,
    usual: Mapping[str, Any] | None = None,
    say: Wording = GROWN_UP,
) -> Asking:
    """Everything a page shows; with ``space_id`` and ``vault`` also what the holder's own records say.

    ``usual``: {duration_days?, look_back_months?, frequency?} of this purpose.
    """
    party = Party.of(client, locale)
    return Asking(
        ask=ask,
        say=say,
        party=party,
        purpose=plain(in_language(ask.purpose_text, locale)),
        reference_no=plain(ask.reference_no or ""),
        items=_items(ask, locale, space_id, vault),
        days=words.days(ask.duration_days),
        unusual=tuple(words.unusual(ask, usual or {})),
        kept=plain(in_language(ask.retention["text"], locale)),
        kept_at=plain(in_language(ask.storage_location, locale)) if ask.storage_location else "",
        how_often=words.how_often(
            ask.mode, ask.max_reads, ask.frequency, [i.delivery for i in ask.items], case_required=ask.case_required
        ),
        methods=plain(in_language(ask.methods, locale)) if ask.methods else "",
        automated=str(words.AUTOMATED.get(ask.automated_decision, "")).replace("%(contact)s", party.contact),
        third_parties=tuple(third_party(t, locale) for t in ask.third_parties),
        abroad=plain(ask.cross_border["country_region"]) if ask.cross_border else "",
        cross_border={k: plain(v) for k, v in (ask.cross_border or {}).items()},
    )


def ask_of(document: dict[str, Any], *, kind: str) -> Ask:
    """The request again, as the document of a consent keeps it, with the duration that was given."""
    purpose, use = document["purpose"], document["use"]
    retention = {k: v for k, v in document["retention"].items() if k != "storage_location"}
    return Ask(
        client_id=document["recipient"]["client_id"],
        kind=kind,
        purpose_code=purpose["purpose_code"],
        purpose_text=purpose["text"],
        scenario=purpose["scenario"],
        holder_kinds=(document["subject"]["space_type"],),
        items=tuple(_ask_item(i) for i in document["items"]),
        mode=use["mode"],
        max_reads=use["max_reads"],
        frequency=use["frequency"],
        duration_days=document["request"]["given_days"],
        retention=retention,
        storage_location=document["retention"]["storage_location"],
        methods=document["processing"]["methods"],
        third_parties=tuple(document["third_parties"]),
        cross_border=document["cross_border"],
        automated_decision=document["processing"]["automated_decision"],
        legal_basis=document["legal_basis"],
        reference_no=purpose["reference_no"],
        scope=tuple(document["scope"]),
        claims=tuple(document["claims"]),
        rule_set_version=purpose.get("rule_set_version"),
        case_required=use.get("case_required", False),
    )


def labels(item_ids: set[str], locale: str) -> dict[str, str]:
    """What items are called today; an item that the catalogue does not know is left out."""
    return {item_id: item.label(locale) for item_id, item in catalogue.current(item_ids).items()} if item_ids else {}


def _items(ask: Ask, locale: str, space_id: str, vault: Vault | None) -> tuple[ShownItem, ...]:
    entries = catalogue.versions([(i.item_id, i.item_version) for i in ask.items])
    held = None
    if space_id and vault is not None and ask.items:
        computed = {entry.item_id: entry for entry in entries.values() if entry.derivation}
        behind = {item_id: str(entry.derivation["from"]) for item_id, entry in computed.items() if entry.derivation}
        found = spaces.holdings(space_id, vault=vault, item_ids={i.item_id for i in ask.items} | {*behind.values()})
        held = {h.record.item_id: h for h in found}
        for item_id, entry in computed.items():
            held.pop(item_id, None)
            if behind[item_id] in held:
                held[item_id] = spaces.computed(held[behind[item_id]], entry, clock.now())
    return tuple(_item(i, entries[i.item_id, i.item_version], ask.mode, locale, held) for i in ask.items)


def _item(asked: AskItem, entry: DataItem, mode: str, locale: str, held: dict[str, Held] | None) -> ShownItem:
    own = held.get(asked.item_id) if held is not None else None
    rows = _cut(asked, own) if own else []
    form, how = words.delivery(asked.delivery, mode)
    return ShownItem(
        item_id=asked.item_id,
        label=entry.label(locale),
        source=entry.authority_name(locale),
        fields=tuple(entry.field_label(f, locale) for f in asked.fields if f not in asked.optional_fields),
        ticks=tuple((f, entry.field_label(f, locale)) for f in asked.optional_fields),
        shorter=tuple((str(m), values.months_in_words(m)) for m in asked.shorter),
        required=asked.necessity == "required",
        sensitive=asked.sensitive,
        reason=plain(in_language(asked.reason, locale)),
        impact=_impact(asked, entry, locale),
        form=form,
        how=how,
        period=values.how_many(asked.period_from, asked.period_to),
        between=values.between(asked.period_from, asked.period_to),
        held=None if held is None else own is not None,
        as_of=own.record.latest_as_of if own else None,
        covers=values.covers(own.item, rows) if own else "",
        preview=values.pairs(own.item, rows, asked.fields, locale) if own else (),
        more=values.left_out(own.item, rows) if own else 0,
    )


def _impact(asked: AskItem, entry: DataItem, locale: str) -> str:
    """What it can mean for the holder; of a child even what is not sensitive otherwise (check C-22)."""
    if asked.sensitive and not entry.is_sensitive_for(asked.fields):
        return str(_("It is about a child. What others know of a child can follow it for years."))
    return entry.impact_text(locale)


def _cut(asked: AskItem, own: Held) -> list[Row]:
    """The rows that would leave: those of the asked period."""
    field, rows = own.item.period_field, of_groups(own.rows, own.item.fields)
    if not field or not asked.period_from:
        return rows
    return [r for r in rows if in_period(r.get(field), asked.period_from, asked.period_to)]


def third_party(entry: dict[str, Any], locale: str) -> str:
    """To whom else data is given: name, place, in which role and what for."""
    said = {
        "name": plain(entry["name"]),
        "place": plain(entry["place"]),
        "role": words.THIRD_PARTY_ROLES.get(entry["role"], ""),
        "what_for": plain(in_language(entry["what_for"], locale)),
    }
    return str(_("%(name)s (%(place)s): %(role)s, %(what_for)s", **said))


def _ask_item(item: dict[str, Any]) -> AskItem:
    return AskItem(
        item_id=item["item_id"],
        item_version=item["item_version"],
        fields=tuple(item["fields"]),
        necessity=item["necessity"],
        sensitive=item["separate_step"],
        reason=item["reason"],
        period_from=item["range"]["from"],
        period_to=item["range"]["to"],
        delivery=item["delivery"],
    )
