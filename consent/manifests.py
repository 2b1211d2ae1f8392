"""Signed lists of what is in a zip: whoever has one sees that no file was changed, added or taken out."""

import datetime as dt
import hashlib
import zipfile
from collections.abc import Iterator
from typing import Any

from consent.history import Registry
from consent.keys import KeyUse
from dataspace import jose

LIST = "manifest.json"
Files = dict[str, dict[str, Any]]  # name -> {sha256, size}


def entry(name: str, now: dt.datetime) -> zipfile.ZipInfo:
    """How a file is put into the zip."""
    found = zipfile.ZipInfo(name, now.timetuple()[:6])
    found.compress_type, found.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    return found


def line(content: bytes) -> dict[str, Any]:
    """What the list says of a file."""
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


def signed(
    said: dict[str, Any], files: Files, now: dt.datetime, *, typ: str, registry: Registry
) -> Iterator[tuple[str, bytes]]:
    """The files of the list: what is said with the digests, signed, and once more in the form of ``sha256sum -c``."""
    payload = jose.canonical(said | {"files": files})
    key = registry.keyring.signing_key(KeyUse.RECORDS, now)
    yield LIST, payload
    yield "manifest.jws", jose.sign_bytes(payload, key, typ=typ).encode()
    yield "SHA256SUMS", "".join(f"{one['sha256']}  {name}\n" for name, one in files.items()).encode()
