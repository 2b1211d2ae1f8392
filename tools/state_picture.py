"""Draws the states of a consent from ``consent.records.TRANSITIONS``: docs/images/states.svg, and the table in
docs/states.md. ``python -m tools.state_picture`` writes both; a test fails when they are not up to date.
"""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from consent.records import LEFT_SOMETHING, LIVE, OPEN, TRANSITIONS, Event, State

Point: TypeAlias = tuple[float, float]
ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "docs/images/states.svg"
PAGE = ROOT / "docs/states.md"
BEGIN, END = "<!-- generated: python -m tools.state_picture -->", "<!-- end of generated part -->"

# Where each state stands: left and top of its box. A state without a place is an error: somebody has to choose one.
WIDTH, HEIGHT = 1020, 580
BOX = (138, 36)
PLACES = {
    State.REQUESTED: (20, 270),
    State.REFUSED: (20, 460),
    State.PENDING_APPROVAL: (290, 84),
    State.ACTIVE: (290, 270),
    State.PAUSED: (540, 270),
    State.SUSPENDED: (290, 420),
    State.PAUSED_SUSPENDED: (540, 420),
    State.REJECTED: (840, 40),
    State.LAPSED: (840, 100),
    State.WITHDRAWN: (840, 200),
    State.INVALIDATED: (840, 290),
    State.TERMINATED: (840, 350),
    State.EXPIRED: (840, 410),
    State.EXHAUSTED: (840, 470),
}
# States from which the same event leads to the same end, or that it leaves as they are, are framed together: one arrow
# starts at the frame, one line of words stands at its foot.
FRAMES: dict[str, tuple[frozenset[State], tuple[int, int, int, int]]] = {
    "live": (frozenset(LIVE), (274, 190, 420, 316)),
    "open": (frozenset(OPEN), (258, 44, 452, 480)),
    "ended": (frozenset(LEFT_SOMETHING), (806, 174, 206, 366)),
}
# Arrows that would cover each other: where they start and end, and where their words stand.
ROUTES: dict[tuple[State, State], tuple[Point, Point, Point]] = {
    (State.REQUESTED, State.PENDING_APPROVAL): ((120, 270), (290, 102), (190, 196)),
    (State.ACTIVE, State.PAUSED): ((428, 280), (540, 280), (484, 274)),
    (State.PAUSED, State.ACTIVE): ((540, 296), (428, 296), (484, 312)),
    (State.SUSPENDED, State.PAUSED_SUSPENDED): ((428, 430), (540, 430), (484, 424)),
    (State.PAUSED_SUSPENDED, State.SUSPENDED): ((540, 446), (428, 446), (484, 462)),
    (State.ACTIVE, State.SUSPENDED): ((330, 306), (330, 420), (330, 352)),
    (State.SUSPENDED, State.ACTIVE): ((388, 420), (388, 306), (388, 388)),
    (State.PAUSED, State.PAUSED_SUSPENDED): ((580, 306), (580, 420), (580, 352)),
    (State.PAUSED_SUSPENDED, State.PAUSED): ((638, 420), (638, 306), (638, 388)),
}
LINE = 26  # letters of what leaves a state as it is, before a new line
LEFT, TOP, RIGHT, BOTTOM = (0.0, 0.5), (0.5, 0.0), (1.0, 0.5), (0.5, 1.0)
STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1d2733; text-anchor: middle }
.word { font-size: 12px; fill: #44515f; paint-order: stroke; stroke: #fff; stroke-width: 5px }
.frame { fill: #f3f6f9; stroke: #8895a5; stroke-dasharray: 5 4 }
.box { fill: #fff; stroke: #44515f } .active { fill: #dff3e4; stroke: #1f7a3d } .end { fill: #f6ece9; stroke: #9a5a4c }
.arrow { fill: none; stroke: #44515f; marker-end: url(#head) }
"""
HEAD = (
    '<marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    '<path d="M0 0 8 4 0 8z" fill="#44515f"/></marker>'
)


def picture() -> str:
    """The SVG document."""
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="The states of a consent">',
        f"<style>{STYLE}</style>",
        f"<defs>{HEAD}</defs>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        *_frames(),
        *sorted(_arrows(), key=lambda line: line.startswith("<text")),  # words stand above the lines
        *(_box(state) for state in PLACES),
    ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def table() -> str:
    """The same as a Markdown table: one row per transition, in the order of the states."""
    rows = ["| state | event | leads to |", "|---|---|---|"]
    for state in State:
        rows += [f"| `{state}` | `{event}` | `{after}` |" for event, after in _of(state)]
    return "\n".join(rows)


def page(text: str) -> str:
    """``text`` with the generated part replaced. Raises ValueError when the marks are missing."""
    before, begin, rest = text.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has not both marks")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> None:
    """Write both files."""
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(picture(), "utf-8")
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")


def _of(state: State) -> list[tuple[Event, State]]:
    return [(event, after) for (before, event), after in TRANSITIONS.items() if before is state]


def _word(event: Event, after: State) -> str:
    """The words beside an arrow: none when the event is called like the state it leads to."""
    word = event.removeprefix("consent:")
    return "" if word == after else word


def _ends(state: State) -> bool:
    """Whether nothing leads on from here."""
    return all(after is state for _event, after in _of(state))


def _frames() -> Iterator[str]:
    for name, (_members, (x, y, width, height)) in sorted(FRAMES.items(), reverse=True):  # the wider one first
        yield f'<rect class="frame" x="{x}" y="{y}" width="{width}" height="{height}" rx="12"/>'
        yield f'<text class="word" x="{x + width - 26}" y="{y + 18}">{name}</text>'


def _arrows() -> Iterator[str]:
    left = dict(TRANSITIONS)
    for event in Event:  # arrows that start at a frame, widest frame first
        for members, frame in sorted(FRAMES.values(), key=lambda frame: -len(frame[0])):
            if all(left.get((member, event)) is member for member in members):
                continue  # a loop of the frame
            targets = {left.get((member, event)) for member in members}
            after = targets.pop()
            if targets or after is None or after in members:
                continue
            end = _at(after, LEFT)
            yield from _arrow((frame[0] + frame[2], end[1]), end, _word(event, after))
            left = {key: value for key, value in left.items() if key[0] not in members or key[1] is not event}
    for (before, event), after in left.items():
        if before is not after:
            yield from _between(before, event, after)
    yield from _loops(left)


def _loops(left: dict[tuple[State, Event], State]) -> Iterator[str]:
    """What leaves a state as it is: at the foot of the frame of all that it leaves, else at the state."""
    loops = {key for key, after in left.items() if key[0] is after}
    for members, (x, y, width, height) in FRAMES.values():
        common = [e for e in Event if all((member, e) in loops for member in members)]
        loops -= {(member, e) for member in members for e in common}
        yield from _stacked(common, (x + width / 2, y + height - 8), width // 7)
    for state in PLACES:
        x, y = _at(state, TOP)
        live = state in LIVE
        yield from _stacked([e for e in Event if (state, e) in loops], (x, y - 6 if live else y + BOX[1] + 28), LINE)


def _stacked(events: list[Event], foot: Point, width: int) -> Iterator[str]:
    """Words in lines, the last of them at ``foot``."""
    lines = textwrap.wrap("↻ " + ", ".join(_word(event, State.NEW) for event in events), width) if events else []
    for number, line in enumerate(reversed(lines)):
        yield f'<text class="word" x="{foot[0]:g}" y="{foot[1] - 14 * number:g}">{line}</text>'


def _between(before: State, event: Event, after: State) -> Iterator[str]:
    if before is State.NEW:
        x, y = _at(after, TOP)
        yield f'<circle cx="{x}" cy="{y - 64}" r="6" fill="#44515f"/>'
        yield from _arrow((x, y - 58), (x, y), _word(event, before))
    else:
        out, into = _sides(PLACES[before], PLACES[after])
        straight = (_at(before, out), _at(after, into), None)
        start, end, words = ROUTES.get((before, after), straight)
        yield from _arrow(start, end, _word(event, after), words)


def _sides(start: tuple[int, int], end: tuple[int, int]) -> tuple[Point, Point]:
    if end[0] > start[0] + BOX[0]:
        return RIGHT, LEFT
    if start[0] > end[0] + BOX[0]:
        return LEFT, RIGHT
    return (BOTTOM, TOP) if end[1] > start[1] else (TOP, BOTTOM)


def _at(state: State, side: Point) -> Point:
    x, y = PLACES[state]
    return x + side[0] * BOX[0], y + side[1] * BOX[1]


def _arrow(start: Point, end: Point, words: str, at: Point | None = None) -> Iterator[str]:
    """A straight arrow with words in its middle, or ``at`` another place."""
    yield f'<path class="arrow" d="M{start[0]:g} {start[1]:g} {end[0]:g} {end[1]:g}"/>'
    x, y = at or ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 4)
    if words:
        yield f'<text class="word" x="{x:g}" y="{y:g}">{words}</text>'


def _box(state: State) -> str:
    x, y = PLACES[state]
    kind = "active" if state is State.ACTIVE else "end" if _ends(state) else ""
    return (
        f'<rect class="box {kind}" x="{x}" y="{y}" width="{BOX[0]}" height="{BOX[1]}" rx="8"/>'
        f'<text x="{x + BOX[0] / 2:g}" y="{y + 23}">{state}</text>'
    )


if __name__ == "__main__":
    main()
