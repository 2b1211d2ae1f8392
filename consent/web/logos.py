"""The logos of third parties at an address of ours, and fetching them when one is registered."""

from flask import Blueprint, Response, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from consent import logos, worker
from dataspace import clock
from dataspace.errors import NotFound
from dataspace.web.shell import services

bp = Blueprint("logos", __name__)
# Opened by itself, a picture that pretends to be a page can do nothing.
POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"


@bp.get("/clients/<client_id>/logo")
def show(client_id: str) -> AnyResponse:
    """The picture as it was fetched; under the address with its digest it never changes."""
    try:
        digest, media_type, image = logos.picture(client_id)
    except NotFound:
        return Response(status=404)
    answer = Response(image, mimetype=media_type)
    answer.headers["Content-Security-Policy"] = POLICY
    answer.headers["Cross-Origin-Resource-Policy"] = "same-origin"
    lasting = request.args.get("v") == digest
    answer.headers["Cache-Control"] = "public, max-age=31536000, immutable" if lasting else "no-cache"
    answer.set_etag(digest)
    return answer.make_conditional(request)


def address(client_id: str) -> str:
    """Where the logo of a client is shown; empty when there is none."""
    digest = logos.digest_of(client_id)
    return url_for("logos.show", client_id=client_id, v=digest) if digest else ""


def fetch_logos(client_id: str | None = None) -> int:
    """Fetch what is due, of one client that has just registered (committed already) or of all; returns how many."""
    return worker.fetch_logos(clock.now(), allow_loopback=services().settings.fetch_loopback, client_id=client_id)
