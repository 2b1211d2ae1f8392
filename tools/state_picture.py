"""Draws the states of :mod:`tools.machines`: docs/images/*.svg, and the tables in docs/states.md.

``python -m tools.state_picture`` writes all of them; a test fails when they are not up to date.
"""

import textwrap
from collections.abc import Iterator
from pathlib import Path

from tools.machines import MACHINES, Machine, Point, Word

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs/images"
PAGE = ROOT / "docs/states.md"
BEGIN, END = "<!-- generated: python -m tools.state_picture, {} -->", "<!-- end of generated part -->"
BOX = (138, 36)
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


def picture(machine: Machine) -> str:
    """The SVG document."""
    width, height = machine.size
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="The states of {machine.about}">',
        f"<style>{STYLE}</style>",
        f"<defs>{HEAD}</defs>",
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *_frames(machine),
        *sorted(_arrows(machine), key=lambda line: line.startswith("<text")),  # words stand above the lines
        *(_box(machine, state) for state in machine.places),
    ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def table(machine: Machine) -> str:
    """The same as a Markdown table: one row per transition, in the order of the states."""
    rows = ["| state | event | leads to |", "|---|---|---|"]
    for state in type(machine.new):
        rows += [f"| `{state}` | `{event}` | `{after}` |" for event, after in _of(machine, state)]
    return "\n".join(rows)


def page(text: str) -> str:
    """``text`` with the generated parts replaced. Raises ValueError when the marks are missing."""
    for machine in MACHINES:
        mark = BEGIN.format(machine.about)
        before, begin, rest = text.partition(mark)
        _old, end, after = rest.partition(END)
        if not begin or not end:
            raise ValueError(f"{PAGE.name} has not both marks of {machine.about}")
        text = f"{before}{mark}\n{table(machine)}\n{END}{after}"
    return text


def main() -> None:
    """Write all files."""
    for machine in MACHINES:
        (IMAGES / machine.file).write_text(picture(machine), "utf-8")
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")


def _of(machine: Machine, state: Word) -> list[tuple[Word, Word]]:
    return [(event, after) for (before, event), after in machine.transitions.items() if before is state]


def _word(machine: Machine, event: Word, after: Word) -> str:
    """The words beside an arrow: none when the event is called like the state it leads to."""
    word = event.removeprefix(machine.prefix)
    return "" if word == after else word


def _ends(machine: Machine, state: Word) -> bool:
    """Whether nothing leads on from here."""
    return all(after is state for _event, after in _of(machine, state))


def _frames(machine: Machine) -> Iterator[str]:
    for name, (_members, (x, y, width, height)) in sorted(machine.frames.items(), reverse=True):  # the wider one first
        yield f'<rect class="frame" x="{x}" y="{y}" width="{width}" height="{height}" rx="12"/>'
        yield f'<text class="word" x="{x + width - 26}" y="{y + 18}">{name}</text>'


def _arrows(machine: Machine) -> Iterator[str]:
    left = dict(machine.transitions)
    for event in machine.events:  # arrows that start at a frame, widest frame first
        for members, frame in sorted(machine.frames.values(), key=lambda frame: -len(frame[0])):
            if all(left.get((member, event)) is member for member in members):
                continue  # a loop of the frame
            targets = {left.get((member, event)) for member in members}
            after = targets.pop()
            if targets or after is None or after in members:
                continue
            end = _at(machine, after, LEFT)
            yield from _arrow((frame[0] + frame[2], end[1]), end, _word(machine, event, after))
            left = {key: value for key, value in left.items() if key[0] not in members or key[1] is not event}
    for (before, event), after in left.items():
        if before is not after:
            yield from _between(machine, before, event, after)
    yield from _loops(machine, left)


def _loops(machine: Machine, left: dict[tuple[Word, Word], Word]) -> Iterator[str]:
    """What leaves a state as it is: at the foot of the frame of all that it leaves, else at the state."""
    loops = {key for key, after in left.items() if key[0] is after}
    for members, (x, y, width, height) in machine.frames.values():
        common = [e for e in machine.events if all((member, e) in loops for member in members)]
        loops -= {(member, e) for member in members for e in common}
        yield from _stacked(machine, common, (x + width / 2, y + height - 8), width // 7)
    for state in machine.places:
        x, y = _at(machine, state, TOP)
        foot = (x, y - 6 if state in machine.above else y + BOX[1] + 28)
        yield from _stacked(machine, [e for e in machine.events if (state, e) in loops], foot, LINE)


def _stacked(machine: Machine, events: list[Word], foot: Point, width: int) -> Iterator[str]:
    """Words in lines, the last of them at ``foot``."""
    words = ", ".join(_word(machine, event, machine.new) for event in events)
    for number, line in enumerate(reversed(textwrap.wrap("↻ " + words, width) if events else [])):
        yield f'<text class="word" x="{foot[0]:g}" y="{foot[1] - 14 * number:g}">{line}</text>'


def _between(machine: Machine, before: Word, event: Word, after: Word) -> Iterator[str]:
    if before is machine.new:
        x, y = _at(machine, after, TOP)
        yield f'<circle cx="{x}" cy="{y - 64}" r="6" fill="#44515f"/>'
        yield from _arrow((x, y - 58), (x, y), _word(machine, event, before))
    else:
        out, into = _sides(machine.places[before], machine.places[after])
        straight = (_at(machine, before, out), _at(machine, after, into), None)
        start, end, words = machine.routes.get((before, after), straight)
        yield from _arrow(start, end, _word(machine, event, after), words)


def _sides(start: tuple[int, int], end: tuple[int, int]) -> tuple[Point, Point]:
    if end[0] > start[0] + BOX[0]:
        return RIGHT, LEFT
    if start[0] > end[0] + BOX[0]:
        return LEFT, RIGHT
    return (BOTTOM, TOP) if end[1] > start[1] else (TOP, BOTTOM)


def _at(machine: Machine, state: Word, side: Point) -> Point:
    x, y = machine.places[state]
    return x + side[0] * BOX[0], y + side[1] * BOX[1]


def _arrow(start: Point, end: Point, words: str, at: Point | None = None) -> Iterator[str]:
    """A straight arrow with words in its middle, or ``at`` another place."""
    yield f'<path class="arrow" d="M{start[0]:g} {start[1]:g} {end[0]:g} {end[1]:g}"/>'
    x, y = at or ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2 + 4)
    if words:
        yield f'<text class="word" x="{x:g}" y="{y:g}">{words}</text>'


def _box(machine: Machine, state: Word) -> str:
    x, y = machine.places[state]
    kind = "active" if state is machine.good else "end" if _ends(machine, state) else ""
    return (
        f'<rect class="box {kind}" x="{x}" y="{y}" width="{BOX[0]}" height="{BOX[1]}" rx="8"/>'
        f'<text x="{x + BOX[0] / 2:g}" y="{y + 23}">{state}</text>'
    )


if __name__ == "__main__":
    main()
