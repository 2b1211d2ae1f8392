"""The addresses of an application, which Werkzeug compiles once for all the applications of a run.

An application has more than two hundred of them, and compiling and sorting them is most of the work of making one. What
comes of it (the states in which a path is matched, the code that builds an address) depends on the rules and on nothing
of the application.
"""

import threading
from typing import Any

from werkzeug.routing import Map, Rule

_made: dict[tuple[Any, ...], Map] = {}
_lock = threading.Lock()


class RememberedMap:
    """Collects rules; a map that was made of the same ones before, or else a new one, does everything else."""

    def __init__(self, **how: Any) -> None:
        self._how = how
        self._rules: list[Rule] = []
        self._map: Map | None = None

    def add(self, rule: Rule) -> None:
        """One more rule; what is asked from now on knows it."""
        with _lock:
            self._rules.append(rule)
            self._map = None

    def __getattr__(self, name: str) -> Any:
        with _lock:
            if self._map is None:
                key = (repr(self._how), *map(_said, self._rules))
                if key not in _made:
                    _made[key] = Map(map(_unbound, self._rules), **self._how)
                self._map = _made[key]
            found = self._map
        return getattr(found, name)


def _said(rule: Rule) -> tuple[Any, ...]:
    """All that rules of this service and of its tests differ in."""
    return rule.rule, rule.endpoint, frozenset(rule.methods or ()), repr(rule.defaults), rule.provide_automatic_options  # type: ignore[attr-defined]


def _unbound(rule: Rule) -> Rule:
    copied = rule.empty()
    copied.provide_automatic_options = rule.provide_automatic_options  # type: ignore[attr-defined]
    return copied
