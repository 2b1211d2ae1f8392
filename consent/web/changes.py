"""What is another in a consent than before, in the reader's words: marks on the page that asks (check C-44), and
sentences for what has happened (receipts).
"""

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from flask_babel import gettext as _
from flask_babel import lazy_gettext

from consent.differences import Difference, Kind
from consent.web import words
from consent.web.asking import labels
from consent.web.words import Label
from dataspace.catalogue import DataItem, in_language
from dataspace.web import values
from dataspace.web.values import plain

KINDS: dict[Kind, Label] = {
    Kind.NEW: lazy_gettext("New"),
    Kind.REMOVED: lazy_gettext("Not asked for any more"),
    Kind.LONGER: lazy_gettext("Longer"),
    Kind.SHORTER: lazy_gettext("Shorter"),
    Kind.MORE: lazy_gettext("More"),
    Kind.LESS: lazy_gettext("Less"),
    Kind.CHANGED: lazy_gettext("Changed"),
}
# What the first part of an attribute's path is called on the page; the longest that fits counts.
ATTRIBUTES: dict[str, Label] = {
    "use/expires_at": lazy_gettext("How long"),
    "use": lazy_gettext("How often"),
    "retention": lazy_gettext("They keep it"),
    "third_parties": lazy_gettext("Also given to"),
    "cross_border": lazy_gettext("Abroad"),
    "processing/automated_decision": lazy_gettext("Decision by computer"),
    "processing": lazy_gettext("What is done with it"),
    "purpose": lazy_gettext("What for"),
    "claims": lazy_gettext("They learn"),
}


@dataclass(frozen=True)
class Changes:
    """``items``: the mark of each item that changes, by id; ``rows``: (label, mark) of everything else."""

    items: dict[str, str] = field(default_factory=dict)
    rows: tuple[tuple[str, str], ...] = ()


def marked(differences: Iterable[Difference], asked: set[str], locale: str) -> Changes:
    """Marks for the items that are ``asked``, and rows for the rest; several changes of one thing are one mark."""
    items: dict[str, dict[str, None]] = {}
    rest: dict[str, dict[str, None]] = {}
    for one in differences:
        parts, mark = one.attribute.split("/"), str(KINDS[one.kind])
        if parts[0] == "items":
            items.setdefault(parts[1], {})[mark] = None
        else:
            rest.setdefault(_called(one.attribute), {})[mark] = None
    gone = labels(set(items) - asked, locale)
    comma = str(_(", "))
    return Changes(
        items={item_id: comma.join(marks) for item_id, marks in items.items() if item_id in asked},
        rows=tuple(
            [(gone[i], comma.join(items[i])) for i in items if i in gone]
            + [(label, comma.join(marks)) for label, marks in rest.items()]
        ),
    )


def _called(attribute: str) -> str:
    fitting = [path for path in ATTRIBUTES if attribute == path or attribute.startswith(f"{path}/")]
    return str(ATTRIBUTES[max(fitting, key=len)])


def told(differences: Iterable[Difference], items: dict[str, DataItem], locale: str) -> list[tuple[str, str]]:
    """(what, how) of each change that has been made, with its values. ``items``: catalogue entries by id."""
    return [(_named(one, items, locale), _sentence(one, items, locale)) for one in differences]


def _named(one: Difference, items: dict[str, DataItem], locale: str) -> str:
    parts = one.attribute.split("/")
    if parts[0] == "items":
        return items[parts[1]].label(locale) if parts[1] in items else str(_("A data item"))
    return _called(one.attribute)


def _sentence(one: Difference, items: dict[str, DataItem], locale: str) -> str:
    mark = str(_("No longer given") if one.kind == Kind.REMOVED else KINDS[one.kind])
    before, after = (_value(one.attribute, value, items, locale) for value in (one.before, one.after))
    if before and after and before != after:
        return str(_("%(mark)s. Now: %(after)s. Before: %(before)s.", mark=mark, after=after, before=before))
    if before or after:
        return str(_("%(mark)s: %(what)s", mark=mark, what=before or after))
    return mark


def _value(attribute: str, value: Any, items: dict[str, DataItem], locale: str) -> str:
    """A value of a difference in words; empty where the mark says enough, or there is none."""
    group, _slash, name = attribute.partition("/")
    if group == "third_parties":
        return plain(name)
    if value is None and attribute not in ("use/max_reads", "use/frequency"):
        return ""
    if group == "items":
        return _of_item(name, value, items, locale)
    if attribute in _READERS:
        return str(_READERS[attribute](value))
    if isinstance(value, dict):  # texts in the three languages, or with one of them
        text = value.get("text", value)
        return plain(in_language(text, locale)) if "zh_hans" in text else ""
    return ""


def _of_item(name: str, value: Any, items: dict[str, DataItem], locale: str) -> str:
    item_id, _slash, part = name.partition("/")
    if part == "range":
        return values.period(value["from"], value["to"])
    if part == "fields":
        entry = items.get(item_id)
        return str(_(", ")).join(entry.field_label(f, locale) for f in value) if entry else ""
    return ""


_READERS: dict[str, Callable[[Any], object]] = {
    "use/expires_at": lambda at: words.date(dt.datetime.fromisoformat(at)),
    "use/max_reads": words.reads,
    "use/frequency": lambda often: words.frequency(often) if often else _("as often as they like"),
    "claims": lambda names: str(_(", ")).join(words.facts(names)),
    "processing/automated_decision": lambda code: words.AUTOMATED.get(code, ""),
}
