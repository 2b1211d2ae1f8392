"""``GET /api/v1/items/<item>/<version>/schema.json``: what the values of one version of a catalogue item look like.

Public, and nothing of anybody. A version never changes, so whoever has fetched its schema need not ask again.
"""

import orjson
from flask import Blueprint, Response

from dataspace import catalogue
from dataspace.delivery import schema_address
from dataspace.errors import NotFound
from dataspace.sources.schema import published
from dataspace.web.limits import limited
from dataspace.web.shell import services

bp = Blueprint("items", __name__, url_prefix="/api/v1/items")
FOR_EVER = "public, max-age=31536000, immutable"
MEDIA_TYPE = "application/schema+json"
MAX_VERSION = 2**31 - 1


@bp.get("/<item_id>/<int:version>/schema.json")
@limited("600/minute")
def schema(item_id: str, version: int) -> Response:
    """JSON Schema 2020-12 of the rows; of an item with one row, its ``items`` describe the fields. Raises NotFound."""
    item = catalogue.versions([(item_id, version)]).get((item_id, version)) if version <= MAX_VERSION else None
    if item is None:
        raise NotFound("no such version of an item")
    body = published(item, services().settings.issuer + schema_address(item_id, version))
    response = Response(orjson.dumps(body), mimetype=MEDIA_TYPE)
    response.headers["Cache-Control"] = FOR_EVER
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response
