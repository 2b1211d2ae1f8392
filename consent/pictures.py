"""Pictures that somebody else gave us: what they are and how large, by their headers alone. Nothing is decoded here.

PNG, JPEG, GIF and WebP, and never a format that can carry scripts or addresses (SVG).
"""

from collections.abc import Callable
from dataclasses import dataclass

from dataspace.errors import DomainError

MAX_SIDE = 2048  # pixels: what a browser makes of a few bytes stays small
Size = tuple[int, int]
# JPEG frames that tell the size (ITU-T T.81 table B.1), and markers without a segment behind them.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_IMAGE_BEGINS = frozenset({0xD9, 0xDA})


class NotAPicture(DomainError):
    """``detail`` says why, without quoting it."""

    code = "not_a_picture"
    sentence = "This is no picture that can be shown."


@dataclass(frozen=True, kw_only=True)
class Picture:
    """``media_type``: what it is by its own bytes. Width and height in pixels."""

    media_type: str
    width: int
    height: int


def read(data: bytes) -> Picture:
    """What the bytes are. Raises NotAPicture."""
    for begins, media_type, size_of in _KINDS:
        if data.startswith(begins):
            width, height = size_of(data)
            if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
                raise NotAPicture(f"not between 1 and {MAX_SIDE} pixels wide and high")
            return Picture(media_type=media_type, width=width, height=height)
    raise NotAPicture("not PNG, JPEG, GIF or WebP")


def _png(data: bytes) -> Size:
    """PNG specification section 11.2.2: IHDR comes first."""
    if data[12:16] != b"IHDR":
        return 0, 0
    return int.from_bytes(data[16:20]), int.from_bytes(data[20:24])


def _gif(data: bytes) -> Size:
    """GIF89a section 18: the logical screen."""
    return _little(data[6:8]), _little(data[8:10])


def _jpeg(data: bytes) -> Size:
    """ITU-T T.81 section B.2.2: the first frame header, behind any segments of other kinds."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # fill
            at += 1
        elif marker in _FRAMES:
            return int.from_bytes(data[at + 7 : at + 9]), int.from_bytes(data[at + 5 : at + 7])
        elif marker in _IMAGE_BEGINS:
            break
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return 0, 0


def _webp(data: bytes) -> Size:
    """RFC 9649 section 2: one of three kinds of first chunk."""
    kind = data[8:16]
    if kind == b"WEBPVP8X":
        return 1 + _little(data[24:27]), 1 + _little(data[27:30])
    if kind == b"WEBPVP8L" and data[20:21] == b"\x2f":
        bits = _little(data[21:25])
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"WEBPVP8 " and data[23:26] == b"\x9d\x01\x2a":
        return _little(data[26:28]) & 0x3FFF, _little(data[28:30]) & 0x3FFF
    return 0, 0


def _little(data: bytes) -> int:
    return int.from_bytes(data, "little")


_KINDS: tuple[tuple[bytes, str, Callable[[bytes], Size]], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png", _png),
    (b"\xff\xd8\xff", "image/jpeg", _jpeg),
    (b"GIF87a", "image/gif", _gif),
    (b"GIF89a", "image/gif", _gif),
    (b"RIFF", "image/webp", _webp),
)
