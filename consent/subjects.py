"""Whom a client knows a holder as (OpenID Connect Core section 8): pairwise by sector, or public if it registered so.

The same name in ID tokens, userinfo, introspection, access tokens and consent documents.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from consent.client_options import CHOICES
from consent.clients import Client, Profile
from dataspace.identifiers import BlindIndex

TYPES = CHOICES["subject_type"]
PUBLIC = "*"  # the audience of whoever knows holders by their public name; no host is called so


def of(holder_id: str, client: Client, index: BlindIndex) -> str:
    """The name of a holder towards one client."""
    audience = audience_of(client.client_id, client.profile, client.redirect_uris, client.options)
    return index.pairwise(holder_id, audience)


def is_public(client: Client) -> bool:
    """Whether others know holders by the same name as this client."""
    return audience_of(client.client_id, client.profile, client.redirect_uris, client.options) == PUBLIC


def audience_of(client_id: str, profile: str, redirect_uris: Sequence[str], options: Mapping[str, Any]) -> str:
    """Who shares a name for a holder: everybody, the clients of one host, or this client alone.

    ``options``: :class:`consent.client_options.ClientOptions` as a document. Clients that read data never share the
    public name: records of two of them must not be put together by it.
    """
    if profile == Profile.LOGIN and options.get("subject_type") == "public":
        return PUBLIC
    sector = options.get("sector_identifier_uri")
    hosts = {urlsplit(uri).hostname for uri in ([sector] if sector else redirect_uris)}
    host = hosts.pop() if len(hosts) == 1 else None
    return host or f"client:{client_id}"  # several hosts and no sector: section 8.1 asks for one, so nothing is shared
