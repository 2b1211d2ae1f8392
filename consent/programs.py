"""The programs that check without us, as files: whoever wants to check keeps them.

They lie beside our code and share none of it. Each runs by itself; ``verifier.pyz`` is all of them in one file, so that
nobody has to know which of them need each other.
"""

import io
import zipfile
from pathlib import Path

from dataspace.errors import NotFound

FOLDER = Path(__file__).parent.parent / "verifier"
ALL = "verifier.pyz"
_DATE = (2026, 1, 1, 0, 0, 0)  # of every file in it: the same programs are the same bytes


def sources() -> dict[str, bytes]:
    """Every program, by its name."""
    return {path.name: path.read_bytes() for path in sorted(FOLDER.glob("*.py"))}


def read(unverified_name: str) -> bytes:
    """One of them, or all in one. Raises NotFound."""
    found = sources()
    if unverified_name == ALL:
        return together(found)
    if unverified_name not in found:
        raise NotFound("no such program")
    return found[unverified_name]


def together(found: dict[str, bytes]) -> bytes:
    """All in one file that Python runs (PEP 441)."""
    spool = io.BytesIO()
    spool.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(spool, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in found.items():
            file.writestr(zipfile.ZipInfo(name, _DATE), content, zipfile.ZIP_DEFLATED)
    return spool.getvalue()
