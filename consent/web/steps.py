"""How far a person has come in deciding one request: the screens in order, what was chosen, what is still open.

Kept on the server (``AuthorizationRequest.choices``), so that back and reload lose nothing and no screen can be skipped
by an address typed by hand.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from consent.documents import Choices
from consent.purposes import Ask

FIRST = "first"
ABROAD = "cross-border"
CONFIRM = "confirm"
ITEM = "item:"
DAYS = (1, 7, 30, 90, 180, 365)  # check C-18


@dataclass(frozen=True, kw_only=True)
class Progress:
    """``acting``: for whom and in which capacity it was decided; what was chosen for somebody else does not count.

    ``optional``: ticked items of the first screen; ``days``: None means as long as asked; ``items``: the decision on
    each sensitive item; ``abroad``: the decision on the transfer abroad; ``screens``: what was shown and answered.
    """

    ask: Ask
    acting: str
    optional: tuple[str, ...] = ()
    days: int | None = None
    items: Mapping[str, bool] = field(default_factory=dict)
    abroad: bool | None = None
    screens: tuple[str, ...] = ()

    @classmethod
    def of(cls, ask: Ask, choices: Mapping[str, Any], *, acting: str) -> Self:
        """What was kept, unless it was chosen for somebody else."""
        if choices.get("acting") != acting:
            return cls(ask=ask, acting=acting)
        return cls(
            ask=ask,
            acting=acting,
            optional=tuple(choices["optional"]),
            days=choices["days"],
            items=choices["items"],
            abroad=choices["abroad"],
            screens=tuple(choices["screens"]),
        )

    def to_choices(self) -> dict[str, Any]:
        """The form in which it is kept; :meth:`of` reads it back."""
        return {
            "acting": self.acting,
            "optional": list(self.optional),
            "days": self.days,
            "items": dict(self.items),
            "abroad": self.abroad,
            "screens": list(self.screens),
        }

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
    def duration_days(self) -> int:
        """For how long the authorization will be given."""
        return self.days or self.ask.duration_days

    def first_screen(self, ticked: Collection[str], days: str) -> "Progress":
        """The answers of the first screen; what is not on offer is ignored."""
        chosen = int(days) if days.isdecimal() and len(days) < 5 and int(days) in self.shorter else None
        ticks = tuple(t for t in self.ticks if t in ticked)
        return replace(self, optional=ticks, days=chosen).answered(FIRST)

    def decide_item(self, item_id: str, *, give: bool) -> "Progress":
        """The decision on one sensitive item."""
        return replace(self, items={**self.items, item_id: give}).answered(ITEM + item_id)

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
        return Choices(
            items=tuple(
                i.item_id for i in self.ask.items if self._gives(i.item_id, i.necessity, sensitive=i.sensitive)
            ),
            duration_days=self.duration_days,
        )

    def _gives(self, item_id: str, necessity: str, *, sensitive: bool) -> bool:
        if sensitive:
            return self.items.get(item_id, False)
        return necessity == "required" or item_id in self.optional

    def answered(self, step: str) -> "Progress":
        """A screen was shown and answered."""
        return self if step in self.screens else replace(self, screens=(*self.screens, step))
