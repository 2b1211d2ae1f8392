"""Lists for administrators: filters that stand in the address, numbered pages, and the same rows as a file."""

import csv
import datetime as dt
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from flask import Response, request, url_for
from flask_babel import format_datetime

from consent.supervision import Page

FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")  # what spreadsheets take for a formula (OWASP)


def argument(name: str, limit: int = 100, *, one_of: Iterable[str] | None = None) -> str:
    """A filter from the address; empty when absent, too long, not printable, or none of ``one_of``."""
    text = request.args.get(name, "").strip()
    fits = len(text) <= limit and text.isprintable()
    return text if fits and (one_of is None or text in set(one_of)) else ""


def page_number() -> int:
    """The page that the address asks for, from 1 on."""
    return max(1, min(request.args.get("page", 1, type=int), 10_000))


def before() -> int | None:
    """The row before which the address goes on; None when it names none that a database could hold."""
    text = argument("before", 18)
    return int(text) if text.isascii() and text.isdigit() else None


def number(name: str) -> int | None:
    """A row that a form names; None when it names none, 0 (which no row has) when no database could hold it."""
    text = request.form.get(name, "")
    if not text:
        return None
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else 0


def links(endpoint: str, page: Page, filters: Mapping[str, str]) -> dict[str, str]:
    """The addresses of the pages before and after; empty at the ends."""

    def to(number: int) -> str:
        return address(endpoint, filters, page=str(number)) if 1 <= number <= page.pages else ""

    return {"previous": to(page.number - 1), "next": to(page.number + 1)}


def address(endpoint: str, filters: Mapping[str, str], **more: str) -> str:
    """The address of a list with its filters, empty ones left out."""
    values: dict[str, Any] = {k: v for k, v in {**filters, **more}.items() if v}
    return url_for(endpoint, **values)


def as_file(name: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """A CSV file that spreadsheets open as it is meant."""
    text = io.StringIO()
    text.write("\ufeff")  # the mark by which spreadsheets know UTF-8
    writer = csv.writer(text)
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    response = Response(text.getvalue(), mimetype="text/csv")
    response.headers["Content-Disposition"] = f"attachment; filename={name}.csv"
    return response


def _cell(value: object) -> str:
    if isinstance(value, dt.datetime):
        return str(format_datetime(value, "yyyy-MM-dd HH:mm:ss"))
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(FORMULA) else text
