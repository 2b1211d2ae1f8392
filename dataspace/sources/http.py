"""JSON over HTTP: ``{"records": [...], "next": address of the next page or null, "cursor": where this ends}``.

The first page is asked for conditionally and since the last cursor; the others lead on from it. Everything goes through
the guard, pages stay on the source's own origin, and how much, how long and how many is bounded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from dataspace.addresses import FetchRefused
from dataspace.fetching import fetch_changed
from dataspace.sources.connector import Fetched, Position, SourceFailed
from dataspace.sources.incoming import Flawed, Incoming, NotJson, from_document, parse_json

PAGE_BYTES = 8 * 1024 * 1024
PAGE_SECONDS = 30.0
MAX_PAGES = 10_000
MAX_CURSOR = 500  # characters


@dataclass(frozen=True, kw_only=True)
class HttpSource:
    """The connector of a source with an address."""

    address: str
    allow_loopback: bool
    token: str = field(default="", repr=False)  # what it asks for; pages stay on its origin, and so does this
    hosts: tuple[str, ...] = ()  # where it may be; empty: anywhere
    page_bytes: int = PAGE_BYTES
    page_seconds: float = PAGE_SECONDS

    def fetch(self, since: Position) -> Iterator[Fetched]:
        """Page by page; nothing when nothing has changed. Raises SourceFailed."""
        if self.hosts and urlsplit(self.address).hostname not in self.hosts:
            raise SourceFailed("its host is not among those that are allowed")
        url, etag, last_modified = _with_cursor(self.address, since.cursor), since.etag, since.last_modified
        reached, seen = since, {url}
        while True:
            document = self._page(url, etag, last_modified)
            if document is None:
                return
            body, validators = document
            if len(seen) == 1:  # those of the first page stand for all
                reached = Position(etag=validators[0], last_modified=validators[1], cursor=since.cursor)
            entries, following, cursor = _parse(body)
            reached = Position(etag=reached.etag, last_modified=reached.last_modified, cursor=cursor or reached.cursor)
            yield Fetched(entries=entries, position=reached)
            if following is None:
                return
            url, etag, last_modified = self._following(url, following), "", ""
            if url in seen or len(seen) >= MAX_PAGES:
                raise SourceFailed("pages without end")
            seen.add(url)

    def _page(self, url: str, etag: str, last_modified: str) -> tuple[Any, tuple[str, str]] | None:
        try:
            found = fetch_changed(
                url, etag=etag, last_modified=last_modified, bearer=self.token,
                timeout=self.page_seconds, max_bytes=self.page_bytes, allow_loopback=self.allow_loopback,
            )  # fmt: skip
        except FetchRefused as refused:
            raise SourceFailed(refused.detail) from None
        if found is None:
            return None
        try:
            return parse_json(found.body), (found.etag, found.last_modified)
        except NotJson as error:
            raise SourceFailed(f"the page: {error.reason}") from None

    def _following(self, url: str, following: str) -> str:
        """The next page, on the same origin: a page must not lead us to somebody else."""
        try:
            found = urljoin(url, following)
            if urlsplit(found)[:2] == urlsplit(self.address)[:2]:
                return found
        except ValueError:
            pass
        raise SourceFailed("the next page is somewhere else")


def _with_cursor(address: str, cursor: str) -> str:
    if not cursor:
        return address
    return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode({'since': cursor})}"


def _parse(body: Any) -> tuple[list[Incoming | Flawed], str | None, str]:
    records = body.get("records") if isinstance(body, dict) else None
    if not isinstance(records, list):
        raise SourceFailed("the page has no records")
    following, cursor = body.get("next"), body.get("cursor", "")
    if not (following is None or isinstance(following, str)) or not isinstance(cursor, str):
        raise SourceFailed("next and cursor must be texts")
    if len(cursor) > MAX_CURSOR:
        raise SourceFailed("the cursor is too long")
    return [from_document(place, record) for place, record in enumerate(records, start=1)], following, cursor
