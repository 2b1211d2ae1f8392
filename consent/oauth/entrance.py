"""Signing in that begins here: the link that opens a client (OpenID Connect Core section 4)."""

from urllib.parse import urlencode, urlsplit

from consent.client_options import ClientOptions
from consent.clients import Client, Standing


def link(client: Client, *, issuer: str) -> str:
    """Where a client wants sign-ins to begin, with our name; empty when it has not said so, or is suspended.

    No ``login_hint``: who the person is the client learns by asking, once she has agreed. No ``target_link_uri``: what
    is worth opening there the client knows, not we.
    """
    address = ClientOptions.from_document(client.options).initiate_login_uri
    if not address or client.standing != Standing.GOOD or urlsplit(address).scheme not in ("https", "http"):
        return ""
    return f"{address}{'&' if '?' in address else '?'}{urlencode({'iss': issuer})}"
