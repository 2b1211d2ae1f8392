"""The files that the worker makes, on a page: how far one is, and the file as it is read."""

import datetime as dt
from typing import Any

from flask import Response, stream_with_context

from consent import archives
from consent.archives import Archive, ArchiveState
from dataspace.web.shell import services


def views(found: list[Archive], now: dt.datetime) -> list[dict[str, Any]]:
    """What is still kept of them: {archive, state, percent}."""
    return [
        {
            "archive": one,
            "state": "failed" if one.has_failed(now) else one.state,
            "percent": 100 * one.done // max(one.total, 1),
        }
        for one in found
        if one.expires_at > now
    ]


def is_making(seen: list[dict[str, Any]]) -> bool:
    """Whether one of them waits."""
    return any(one["state"] == ArchiveState.WAITING for one in seen)


def send(archive: Archive, name: str, now: dt.datetime) -> Response:
    """Its file, as it is read. Raises NotFound when it is not ready, or over."""
    pieces = archives.read(archive, now, vault=services().vault)
    response = Response(stream_with_context(pieces), mimetype="application/zip")
    response.content_length = archive.size
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response
