"""Numbered lines of a file of any size, with where they stand, in memory that does not grow with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from dataspace.errors import InvalidFile

MAX_LINE = 1024 * 1024  # bytes
BOM = b"\xef\xbb\xbf"  # what Windows puts in front of UTF-8
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_SKIPPED = 64 * 1024


@dataclass(frozen=True, slots=True)
class Line:
    """``content`` without its end, None when it is longer than MAX_LINE; ``start`` and ``end`` are bytes of the file.

    ``ended``: False for a last line without a newline.
    """

    number: int
    start: int
    end: int
    content: bytes | None
    ended: bool


def read(stream: BinaryIO, *, start: int = 0, number: int = 1) -> Iterator[Line]:
    """The lines of a file from byte ``start``, where line ``number`` begins. Raises InvalidFile for UTF-16."""
    stream.seek(start)
    while found := stream.readline(MAX_LINE + 2):
        content: bytes | None = found
        end, ended = start + len(found), found.endswith(b"\n")
        if not ended and len(found) > MAX_LINE:
            content = None
            while not ended and (skipped := stream.readline(_SKIPPED)):
                end, ended = end + len(skipped), skipped.endswith(b"\n")
        if start == 0 and content is not None:
            content = _without_bom(content)
        yield Line(number, start, end, content.rstrip(b"\r\n") if content is not None else None, ended)
        start, number = end, number + 1


def _without_bom(content: bytes) -> bytes:
    if content.startswith(_UTF_16):
        raise InvalidFile(["the file is UTF-16; save it as UTF-8"])
    return content.removeprefix(BOM)
