"""The rule of an address, which Werkzeug compiles once for all the applications of a run.

An application has more than two hundred of them, and compiling them is nearly all the work of making one. What comes of
it (the parts that a path is matched by, the code that builds an address) depends on the text of the rule and on nothing
of the application but its map, which the converters name.
"""

import copy
from typing import Any

from werkzeug.routing import Rule

_compiled: dict[tuple[Any, ...], Rule] = {}


class RememberedRule(Rule):
    """A rule that looks whether another one of the same text was compiled before."""

    def compile(self) -> None:
        # Values of defaults become part of the code.
        key = (self.rule, self.host, self.subdomain, self.merge_slashes, repr(self.defaults))
        known = _compiled.get(key)
        if known is None:
            super().compile()
            _compiled[key] = self
            return
        self._parts, self._trace = known._parts, known._trace
        self._converters = {name: copy.copy(converter) for name, converter in known._converters.items()}
        for converter in self._converters.values():
            converter.map = self.map  # type: ignore[assignment]
        self.arguments |= set(self._converters)
        self._build = known._build.__func__.__get__(self, None)  # type: ignore[attr-defined]
        self._build_unknown = known._build_unknown.__func__.__get__(self, None)  # type: ignore[attr-defined]
