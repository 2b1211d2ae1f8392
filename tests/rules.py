"""The rule of an address, which Werkzeug compiles into Python code once for all the applications of a run.

An application has some ninety of them, and compiling them is nearly all the work of making one. The code that builds
an address from its values depends on the text of the rule and on nothing of the application.
"""

from collections.abc import Callable
from typing import Any

from werkzeug.routing import Rule

_Builder = Callable[..., tuple[str, str]]
_compiled: dict[tuple[Any, ...], _Builder] = {}


class RememberedRule(Rule):
    """A rule that looks whether another one of the same text was compiled before."""

    def _compile_builder(self, append_unknown: bool = True) -> _Builder:
        if self.defaults:  # values of defaults become part of the code
            return super()._compile_builder(append_unknown)
        key = (self.rule, tuple(self._trace), append_unknown)
        if key not in _compiled:
            _compiled[key] = super()._compile_builder(append_unknown)
        return _compiled[key]
