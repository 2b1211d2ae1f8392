"""How far a person has come in deciding one request: the screens in order, what was chosen, what is still open.

Kept on the server (``AuthorizationRequest.choices``), so that back and reload lose nothing and no screen can be skipped
by an address typed by hand.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from werkzeug.datastructures import MultiDict

from consent.asks import Ask, AskItem
from consent.documents import Choices

FIRST = "first"
ABROAD = "cross-border"
CONFIRM = "confirm"
ITEM = "item:"
Form = MultiDict[str, str]  # what was posted
ONCE = "once"  # chosen in place of a number of days
DAYS = (1, 7, 30, 90, 180, 365)  # check C-18


@dataclass(frozen=True, kw_only=True)
class Progress:
    """``acting``: for whom and in which capacity it was decided; what was chosen for somebody else does not count.

    ``anew``: it replaces a consent, whose reads count on. ``once``: a single read, which closes it. ``optional``:
    ticked items of the first screen; ``days``: None means as long as asked; ``items``: the decision on each sensitive
    item; ``abroad``: the decision on the transfer abroad; ``fields``, ``months``: ticked optional fields and chosen
    shorter periods, by item; ``screens``: what was shown and answered.
    """

    ask: Ask
    acting: str
    anew: bool = False
    once: bool = False
    optional: tuple[str, ...] = ()
    days: int | None = None
    items: Mapping[str, bool] = field(default_factory=dict)
    abroad: bool | None = None
    fields: Mapping[str, list[str]] = field(default_factory=dict)
    months: Mapping[str, int] = field(default_factory=dict)
    screens: tuple[str, ...] = ()

    @classmethod
    def of(cls, ask: Ask, choices: Mapping[str, Any], *, acting: str, anew: bool) -> Self:
        """What was kept, unless it was chosen for somebody else."""
        if choices.get("acting") != acting:
            return cls(ask=ask, acting=acting, anew=anew)
        return cls(
            ask=ask,
            acting=acting,
            anew=anew,
            once=choices["once"],
            optional=tuple(choices["optional"]),
            days=choices["days"],
            items=choices["items"],
            abroad=choices["abroad"],
            fields=choices["fields"],
            months=choices["months"],
            screens=tuple(choices["screens"]),
        )

    def to_choices(self) -> dict[str, Any]:
        """The form in which it is kept; :meth:`of` reads it back."""
        return {
            "acting": self.acting,
            "once": self.once,
            "optional": list(self.optional),
            "days": self.days,
            "items": dict(self.items),
            "abroad": self.abroad,
            "fields": dict(self.fields),
            "months": dict(self.months),
            "screens": list(self.screens),
        }

    @property
    def mark(self) -> str:
        """Names what is chosen: the last screen sends it back, so that nobody agrees to what another tab has chosen."""
        chosen = {k: v for k, v in self.to_choices().items() if k != "screens"}
        return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()[:24]

    @property
    def steps(self) -> tuple[str, ...]:
        """Every screen in order. A request without sensitive items that stays in the country has one screen."""
        own = [f"{ITEM}{i.item_id}" for i in self.ask.sensitive_items]
        if self.ask.cross_border:
            own.append(ABROAD)
        return (FIRST, *own, CONFIRM) if own else (FIRST,)

    @property
    def ticks(self) -> tuple[str, ...]:
        """The optional items that are ticked on the first screen."""
        return tuple(i.item_id for i in self.ask.items if i.necessity == "optional" and not i.sensitive)

    @property
    def shorter(self) -> tuple[int, ...]:
        """The durations in days that may be chosen instead of the asked one."""
        return tuple(d for d in DAYS if d < self.ask.duration_days)

    @property
    def may_be_once(self) -> bool:
        """Whether a single read may be chosen instead of the asked ones."""
        return self.ask.may_be_once and not self.anew

    @property
    def duration_days(self) -> int:
        """For how long the authorization will be given."""
        return self.days or self.ask.duration_days

    def first_screen(self, form: Form) -> "Progress":
        """The answers of the first screen."""
        return self.ticked(form).answered(FIRST)

    def ticked(self, form: Form) -> "Progress":
        """What is chosen on the first screen; what is not on offer is ignored."""
        ticked = form.getlist("share")
        ticks = tuple(t for t in self.ticks if t in ticked)
        said = form.get("days", "")
        once = said == ONCE and self.may_be_once
        progress = replace(self, optional=ticks, days=_on_offer(said, self.shorter), once=once)
        for item in self.ask.items:
            if not item.sensitive:
                progress = progress.narrowed(item, form)
        return progress

    def kept(self, step: str, form: Form) -> "Progress":
        """What is chosen on a screen so far, without its answer."""
        if step == FIRST:
            return self.ticked(form)
        own = [i for i in self.ask.sensitive_items if step == ITEM + i.item_id]
        return self.narrowed(own[0], form) if own else self

    def decide_item(self, item: AskItem, form: Form) -> "Progress":
        """The decision on one sensitive item."""
        decided = replace(self, items={**self.items, item.item_id: form.get("decision") == "give"})
        return decided.narrowed(item, form).answered(ITEM + item.item_id)

    def narrowed(self, item: AskItem, form: Form) -> "Progress":
        """What was ticked and chosen within one item; what is not on offer is ignored."""
        ticked = form.getlist(f"fields.{item.item_id}")
        fields = {k: v for k, v in self.fields.items() if k != item.item_id}
        months = {k: v for k, v in self.months.items() if k != item.item_id}
        if kept := [f for f in item.optional_fields if f in ticked]:
            fields[item.item_id] = kept
        if chosen := _on_offer(form.get(f"months.{item.item_id}", ""), item.shorter):
            months[item.item_id] = chosen
        return replace(self, fields=fields, months=months)

    def decide_abroad(self, *, agree: bool) -> "Progress":
        """The decision on the transfer abroad."""
        return replace(self, abroad=agree).answered(ABROAD)

    def open_step(self) -> str | None:
        """The first screen before the last that still has to be answered, or whose answer stops the whole request."""
        for step in self.steps:
            if step != CONFIRM and (step not in self.screens or self.stops(step)):
                return step
        return None

    def stops(self, step: str) -> bool:
        """Whether the answer given there means that the request cannot be completed."""
        if step == ABROAD:
            return self.abroad is False
        required = {ITEM + i.item_id for i in self.ask.sensitive_items if i.necessity == "required"}
        return step in required and self.items.get(step.removeprefix(ITEM)) is False

    def decided(self) -> Choices:
        """What will be given."""
        gives = [i.item_id for i in self.ask.items if self._gives(i.item_id, i.necessity, sensitive=i.sensitive)]
        return Choices(
            items=tuple(gives),
            duration_days=self.duration_days,
            fields={item_id: tuple(fields) for item_id, fields in self.fields.items() if item_id in gives},
            months={item_id: months for item_id, months in self.months.items() if item_id in gives},
            once=self.once,
        )

    def given(self) -> Ask:
        """The request with its items as they will be given."""
        return self.decided().narrowed(self.ask)

    def _gives(self, item_id: str, necessity: str, *, sensitive: bool) -> bool:
        if sensitive:
            return self.items.get(item_id, False)
        return necessity == "required" or item_id in self.optional

    def answered(self, step: str) -> "Progress":
        """A screen was shown and answered."""
        return self if step in self.screens else replace(self, screens=(*self.screens, step))


def _on_offer(said: str, offered: Collection[int]) -> int | None:
    """The number that was chosen, if it is one of those on offer."""
    return int(said) if said.isdecimal() and len(said) < 5 and int(said) in offered else None
