"""Who of a company has to agree: what an agent prepares, and what a rule gives to two persons, waits for a second one.

Which items these are is data: the cap ``two_person`` of the rules in force when the request was made.
"""

from typing import Any

from consent.asks import Ask
from consent.documents import Choices
from dataspace.mandates import Actor, Capacity

ALONE = {Capacity.SELF: "any", Capacity.GUARDIAN: "guardian"}  # of a body its representative


def by_rule(ask: Ask) -> list[str]:
    """The items of a request that a company gives only with two persons, whatever of it is chosen."""
    return [item.item_id for item in ask.items if item.needs_two]


def chosen_by_rule(ask: Ask, choices: Choices) -> list[str]:
    """Those of them that are given, as far as they are given: a shorter period may need one person only."""
    return [item_id for item_id in by_rule(choices.narrowed(ask)) if item_id in choices.items]


def needs_second(ask: Ask, choices: Choices, actor: Actor) -> bool:
    """Whether the agreement of this person waits for another one of the company."""
    if actor.capacity == Capacity.AGENT:
        return True
    return actor.capacity == Capacity.LEGAL_REPRESENTATIVE and bool(chosen_by_rule(ask, choices))


def block(ask: Ask, choices: Choices, actor: Actor) -> dict[str, Any]:
    """The approvals of a new document: who has to agree, for which items a rule says so, and nobody yet."""
    if not needs_second(ask, choices, actor):
        return {"rule": ALONE.get(actor.capacity, "legal_representative"), "items": [], "steps": []}
    return {"rule": "two_person", "items": chosen_by_rule(ask, choices), "steps": []}
