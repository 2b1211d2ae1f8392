"""What the service has set itself, beside what was measured. It is told, and nothing fails: time is never asserted."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

SHARE_OF_FLOOR = 0.5  # of a read of data, with its access row and its entry in the log
STATEMENTS = 3  # of a read, beside the commit
INTEGRATED = 20_000  # entries a second
FLAT = 1.2  # memory that grows by no more than this, while what it rests on grows a hundredfold, is flat
FLAT_TIME = 1.5  # the same of time: a hundred times as much does not lie in the caches of processor and database


@dataclass(frozen=True, kw_only=True)
class Target:
    """One figure, and what it should be: at least or at most ``wanted``."""

    what: str
    found: float
    wanted: float
    at_least: bool

    @classmethod
    def least(cls, what: str, found: float, wanted: float) -> Self:
        """The more the better."""
        return cls(what=what, found=found, wanted=wanted, at_least=True)

    @classmethod
    def most(cls, what: str, found: float, wanted: float) -> Self:
        """The less the better."""
        return cls(what=what, found=found, wanted=wanted, at_least=False)

    @property
    def is_met(self) -> bool:
        """Judged by the figure, not by how it is printed."""
        return self.found >= self.wanted if self.at_least else self.found <= self.wanted

    def line(self) -> str:
        """One line of the Markdown table."""
        bound = "at least" if self.at_least else "at most"
        return f"| {self.what} | {self.found:.4g} | {bound} {self.wanted:g} | {'met' if self.is_met else 'MISSED'} |"


def told(targets: Iterable[Target]) -> str:
    """The Markdown table."""
    return "\n".join(["", "| target | measured | wanted | |", "|---|---|---|---|", *(t.line() for t in targets)])
