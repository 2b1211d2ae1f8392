"""Archives taken apart and packed anew, as somebody does who changes a file in them."""

import io
import zipfile

Contents = dict[str, bytes]  # by name


def opened(raw: bytes) -> Contents:
    """What is in it."""
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        return {name: file.read(name) for name in file.namelist()}


def packed(files: Contents) -> bytes:
    """The same packed anew."""
    spool = io.BytesIO()
    with zipfile.ZipFile(spool, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return spool.getvalue()
