"""Proofs from the log of evidence as they leave: what ``verifier/verify_inclusion.py`` reads."""

from flask import Response

from consent import evidence
from dataspace import jose
from dataspace.entries import Entry
from dataspace.errors import NotFound


def answer(entry: Entry | None) -> Response:
    """{entry, proof, salt, statement} as canonical JSON. Raises NotYet; NotFound when there will never be a proof."""
    if entry is None:
        raise NotFound("older than the log, or its salt is gone")
    return Response(jose.canonical(evidence.shown(entry)), mimetype="application/json")


def download(entry: Entry | None, name: str) -> Response:
    """The same as a file. Raises as :func:`answer`."""
    response = answer(entry)
    response.headers["Content-Disposition"] = f'attachment; filename="{name}-proof.json"'
    return response
