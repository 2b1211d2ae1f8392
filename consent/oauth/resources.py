"""Resource servers beside the data API: whom access tokens may be meant for (RFC 8707), and in which form they come.

Whoever names no resource means the data API and userinfo, which are one resource: the issuer. A request may name
several (``resource`` is the one parameter that may be repeated); a code and a refresh token stand for all of them, an
access token for those that the token request names, or for all.
"""

import datetime as dt
from urllib.parse import urlsplit

from sqlalchemy import ForeignKey, String, select
from sqlalchemy.orm import Mapped, mapped_column

from consent.clients import Client
from consent.oauth.errors import InvalidTargetError
from dataspace.db import Model, connection, db, table_of
from dataspace.errors import Conflict, DomainError, NotFound

FORMATS = ("opaque", "jwt")
MAX_URI = 400
MAX_NAMED = 4  # in one request


class Resource(Model):
    """A registered resource server. ``uri``: its identifier; ``token_format``: "opaque" or "jwt" (RFC 9068).

    ``client_id``: who may introspect tokens for it (RFC 7662 section 2.1), besides the client that holds them.
    """

    __tablename__ = "resources"
    uri: Mapped[str] = mapped_column(String(MAX_URI), primary_key=True)
    token_format: Mapped[str] = mapped_column(String(10), default="opaque")
    client_id: Mapped[str | None] = mapped_column(ForeignKey("clients.client_id"))
    created_at: Mapped[dt.datetime]


class InvalidResource(DomainError):
    """A resource that cannot be registered; ``detail`` says why."""

    code = "invalid_resource"
    sentence = "This cannot be registered as a resource."
    status = 400


_RESOURCES = table_of(Resource).c


# Requests


def named(parameter: str, *, issuer: str) -> tuple[str, ...]:
    """The resources of a ``resource`` parameter, checked; empty: none is named. Raises InvalidTargetError.

    ``parameter``: as :func:`consent.oauth.forms.parse` gives it, repeated values joined by spaces. The issuer's own
    identifier counts with and without its empty path (RFC 3986 section 6.2.3).
    """
    uris = tuple(dict.fromkeys(issuer if uri == f"{issuer}/" else uri for uri in parameter.split()))
    if len(uris) > MAX_NAMED:
        raise InvalidTargetError(f"more than {MAX_NAMED} resources")
    if not all(_is_absolute(uri) for uri in uris):
        raise InvalidTargetError("resource is not an absolute URI without fragment")
    foreign = {uri for uri in uris if uri != issuer}
    if foreign - set(formats(foreign)):
        raise InvalidTargetError("resource is not known here")
    return uris


def narrowed(parameter: str, granted: str, *, issuer: str) -> str:
    """What a token request names, of what was granted (RFC 8707 section 2.2). Raises InvalidTargetError.

    ``granted`` and the answer: as codes and tokens keep it, joined by spaces, empty for the issuer alone.
    """
    if not parameter:
        return granted
    uris = named(parameter, issuer=issuer)
    if not set(uris) <= set(granted.split() or [issuer]):
        raise InvalidTargetError("resource was not part of the authorization request")
    return kept(uris, issuer=issuer)


def kept(uris: tuple[str, ...], *, issuer: str) -> str:
    """The form in which codes and tokens keep their resources."""
    return "" if uris == (issuer,) else " ".join(uris)


def audience(resource: str, *, issuer: str) -> list[str]:
    """Whom a code or token is meant for. ``resource``: as it keeps it."""
    return resource.split() or [issuer]


def formats(uris: set[str]) -> dict[str, str]:
    """The token format of each of these that is registered, in one query; none for an empty set."""
    if not uris:
        return {}
    query = select(_RESOURCES.uri, _RESOURCES.token_format).where(_RESOURCES.uri.in_(uris))
    return {row.uri: row.token_format for row in connection().execute(query)}


def read_by(client_id: str) -> set[str]:
    """The resources for which a client introspects tokens."""
    return set(connection().execute(select(_RESOURCES.uri).where(_RESOURCES.client_id == client_id)).scalars())


def _is_absolute(uri: str) -> bool:
    """RFC 8707 section 2: an absolute URI (RFC 3986 section 4.3) of printable ASCII, without a fragment."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    if not uri.isascii() or not uri.isprintable() or len(uri) > MAX_URI or "#" in uri:
        return False
    return bool(parts.scheme) and bool(parts.netloc or parts.path)


# Registration


def add(uri: str, token_format: str, client_id: str | None, now: dt.datetime, *, issuer: str) -> Resource:
    """Register a resource server. Raises InvalidResource, NotFound (no such client), Conflict (there already)."""
    if not _is_absolute(uri) or " " in uri:
        raise InvalidResource("it must be an absolute URI without fragment")
    if uri.rstrip("/") == issuer:
        raise InvalidResource("the data API is known already")
    if token_format not in FORMATS:
        raise InvalidResource("the token format must be opaque or jwt")
    if client_id is not None and db.session.get(Client, client_id) is None:
        raise NotFound("no such client")
    if db.session.get(Resource, uri) is not None:
        raise Conflict("this resource is registered already")
    resource = Resource(uri=uri, token_format=token_format, client_id=client_id, created_at=now)
    db.session.add(resource)
    db.session.flush()
    return resource


def remove(uri: str) -> None:
    """Forget a resource server: no new tokens for it; those that are out live on until they end. Raises NotFound."""
    resource = db.session.get(Resource, uri)
    if resource is None:
        raise NotFound("no such resource")
    db.session.delete(resource)


def registered() -> list[Resource]:
    """Every registered resource server, by its identifier."""
    return list(db.session.scalars(select(Resource).order_by(Resource.uri)))
