"""A third party as holders see it: who it is, by what we know that, its logo and where it explains itself."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from flask_babel import lazy_gettext

from consent.clients import Client, Standing
from consent.web import logos
from consent.web.words import Label
from dataspace.web.values import plain

# Addresses of its own that a client may register (RFC 7591 section 2). What they lead to replaces nothing here.
PAGES: dict[str, Label] = {
    "policy_uri": lazy_gettext("Privacy policy"),
    "tos_uri": lazy_gettext("Terms of use"),
    "client_uri": lazy_gettext("Web page"),
}


@dataclass(frozen=True)
class Link:
    """A page of the third party. ``host``: where it leads, for the eye."""

    label: str
    url: str
    host: str


@dataclass(frozen=True, kw_only=True)
class Party:
    """The body that asks. ``verified``: it is accredited and in good standing; ``known``: somebody made sure who it is.

    ``logo``: an address of ours, or empty.
    """

    name: str
    code: str
    number: str
    level: str
    address: str
    contact: str
    officer: str
    logo: str
    links: tuple[Link, ...]
    known: bool
    verified: bool
    suspended: bool

    @classmethod
    def of(cls, client: Client, locale: str) -> "Party":
        """A client as holders see it."""
        accreditation = client.accreditation or {}
        return cls(
            name=plain(client.name(locale)),
            code=plain(client.uscc or client.foreign_registration),
            number=plain(accreditation.get("number", "")),
            level=plain(accreditation.get("level", "")),
            address=plain(client.address),
            contact=plain(client.contact),
            officer=plain(client.privacy_officer),
            logo=logos.address(client.client_id) if (client.options or {}).get("logo_uri") else "",
            links=links_of(client),
            known=client.known_since is not None,
            verified=bool(accreditation) and client.standing == Standing.GOOD,
            suspended=client.standing != Standing.GOOD,
        )


def links_of(client: Client) -> tuple[Link, ...]:
    """The pages that a client has registered; that they are web addresses was checked then."""
    options = client.options or {}
    urls = [(label, options[name]) for name, label in PAGES.items() if options.get(name)]
    return tuple(Link(str(label), url, plain(urlsplit(url).netloc)) for label, url in urls)
