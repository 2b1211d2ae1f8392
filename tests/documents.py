"""Reading our Markdown documents in tests: fenced blocks, rows of tables, anchors."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
README, README_ZH = ROOT / "README.md", ROOT / "README.zh.md"
OPERATORS, INTEGRATORS = ROOT / "docs/operators.md", ROOT / "docs/integrators.md"
DOCUMENTS = [README, README_ZH, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"(?:^<!-- test: (?P<mark>.+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)


@dataclass(frozen=True)
class Block:
    """One fenced block; ``mark`` says what a test does with it, empty for nothing."""

    mark: str
    language: str
    text: str


def blocks(path: Path) -> list[Block]:
    return [Block(m["mark"] or "", m["language"], m["text"]) for m in BLOCK.finditer(path.read_text("utf-8"))]


def anchors(path: Path) -> set[str]:
    """The anchors of the headings of a Markdown file."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def rows(path: Path, first: str) -> dict[str, list[str]]:
    """The rows of the Markdown tables of a file whose first cell matches, by that cell without its backticks."""
    found = {}
    for line in path.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("|") and re.fullmatch(first, cells[0].strip("| `")):
            found[cells[0].strip("| `")] = [cell.strip("| ") for cell in cells[1:]]
    return found
