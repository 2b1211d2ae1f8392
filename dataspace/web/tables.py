"""Tables as files: lines of CSV in which no spreadsheet finds a formula (OWASP, CSV injection)."""

import csv
import io
from collections.abc import Iterable

MARK = "\ufeff"  # the mark by which spreadsheets know UTF-8; once, at the beginning
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # what spreadsheets take for a formula


def line(cells: Iterable[str | int | bool | None]) -> str:
    """One line; texts are made harmless, numbers are numbers."""
    text = io.StringIO()
    csv.writer(text).writerow([harmless(cell) if isinstance(cell, str) else cell for cell in cells])
    return text.getvalue()


def harmless(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell
