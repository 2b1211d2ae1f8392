"""What a request that replaces a consent would change of it, in the reader's words (check C-44)."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from flask_babel import gettext as _
from flask_babel import lazy_gettext

from consent.differences import Difference, Kind
from consent.web.asking import labels
from consent.web.words import Label

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
