"""Tells what happens, step by step, and counts what was expected and what came."""

import json
import sys
from dataclasses import dataclass, field
from typing import Any

MAX_LINES = 24
WIDTH = 100


@dataclass
class Story:
    """Prints as it goes; ``failed`` names the expectations that did not come true."""

    steps: int = 0
    expectations: int = 0
    failed: list[str] = field(default_factory=list)
    colours: bool = field(default_factory=sys.stdout.isatty)

    def chapter(self, title: str) -> None:
        """A new part of the story."""
        self._line(f"\n{self._paint('1', title)}")

    def step(self, text: str) -> None:
        """Somebody does something."""
        self.steps += 1
        self._line(f"\n  {self.steps}. {text}")

    def says(self, text: str) -> None:
        """What somebody reads on a page."""
        self._line(f"     {self._paint('2', text)}")

    def answer(self, body: Any) -> None:
        """A JSON answer as it came, shortened."""
        lines = _written(_short(body)).splitlines()
        for line in lines[:MAX_LINES]:
            self._line(f"     {self._paint('36', line)}")
        if len(lines) > MAX_LINES:
            self._line(f"     {self._paint('36', f'… {len(lines) - MAX_LINES} more lines')}")

    def expect(self, what: str, *, that: object) -> None:
        """Note whether something came true."""
        if not that:
            self.fail(what)
            return
        self.expectations += 1
        self._line(f"     {self._paint('32', '✓')} {what}")

    def fail(self, what: str) -> None:
        """Note what went wrong."""
        self.expectations += 1
        self.failed.append(what)
        self._line(f"     {self._paint('31', '✗')} {what}")

    def summary(self) -> str:
        """One line about all of it."""
        return f"demo: {self.steps} steps, {self.expectations} expectations, {len(self.failed)} failed"

    def _paint(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self.colours else text

    def _line(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


def _short(value: Any) -> Any:
    """Long texts cut, long lists cut to two entries."""
    if isinstance(value, dict):
        return {name: _short(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_short(inner) for inner in value[:2]] + ([f"… {len(value) - 2} more"] if len(value) > 2 else [])
    return f"{value[:80]}…" if isinstance(value, str) and len(value) > 84 else value


def _written(value: Any, indent: str = "") -> str:
    """JSON in which whatever fits into a line stays in one."""
    one_line = json.dumps(value, ensure_ascii=False)
    if len(one_line) + len(indent) <= WIDTH or not isinstance(value, dict | list):
        return one_line
    inner = indent + "  "
    if isinstance(value, dict):
        parts = [f"{inner}{json.dumps(name)}: {_written(part, inner)}" for name, part in value.items()]
        return "{\n" + ",\n".join(parts) + f"\n{indent}}}"
    return "[\n" + ",\n".join(inner + _written(part, inner) for part in value) + f"\n{indent}]"
