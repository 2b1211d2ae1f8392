"""Where a URL that somebody else gave us may lead: judged by its text, and by every address that its name has.

https to port 443 of a public address, or, where the settings allow it, anything on the loopback.
"""

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from dataspace.errors import DomainError

LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_URL = 2000
HTTPS_PORT = 443
_PRINTABLE = re.compile(r"[!-\[\]-~]+")  # ASCII without spaces, control characters and the backslash
_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")

# IANA special-purpose address registries, written out: ipaddress.is_global calls many of these global, and its answer
# changes between Python versions.
_FORBIDDEN_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers; cloud metadata of some providers
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local; cloud metadata
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments; cloud metadata of some providers
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/3",  # multicast, reserved, broadcast
    )
)
# Only 2000::/3 is given out. All else is refused unnamed: loopback, link-local, unique local, multicast, and the forms
# that carry an IPv4 address inside (IPv4-mapped, IPv4-compatible, NAT64).
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
_FORBIDDEN_V6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # protocol assignments; Teredo carries an IPv4 address inside
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4 carries an IPv4 address inside
        "3fff::/20",  # documentation
    )
)


class FetchRefused(DomainError):
    """A URL that we do not fetch, or whose answer we do not take; ``detail`` says why."""

    code = "fetch_refused"
    sentence = "This address could not be fetched."


@dataclass(frozen=True, kw_only=True)
class Target:
    """A URL that may be fetched, as far as its text can tell. ``path``: with the query."""

    scheme: str
    host: str  # lower case; an IPv6 address without brackets
    port: int
    path: str
    loopback: bool  # it must lead to this machine
    inside: bool = False  # the operator vouches for the address: it may lead anywhere


def check_url(url: object, *, allow_loopback: bool, inside: bool = False) -> Target:
    """What a URL says before its name is resolved; to be asked at registration too. Raises FetchRefused.

    ``inside``: it stands in the operator's own settings, and the operator has said that it may be an inner address.
    """
    if not isinstance(url, str) or len(url) > MAX_URL or not _PRINTABLE.fullmatch(url):
        raise FetchRefused("not a URL, or too long")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise FetchRefused("not a URL") from None
    if "@" in parts.netloc or "#" in url:
        raise FetchRefused("a URL with credentials or a fragment")
    if not _HOST_NAME.fullmatch(host) and not _is_ipv6(host):
        raise FetchRefused("not a host name")
    plain = parts.scheme == "http" and (inside or (allow_loopback and host in LOOPBACK_HOSTS))
    if parts.scheme != "https" and not plain:
        raise FetchRefused("not https")
    if port is None:
        port = HTTPS_PORT if parts.scheme == "https" else 80
    # A name of one's own for this machine, with another port: whether it leads here is seen when it is resolved.
    loopback = allow_loopback and (host in LOOPBACK_HOSTS or port != HTTPS_PORT)
    if port != HTTPS_PORT and not loopback and not inside:
        raise FetchRefused("not port 443")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(scheme=parts.scheme, host=host, port=port, path=path, loopback=loopback, inside=inside)


def may_connect(address: str, *, loopback: bool) -> bool:
    """Whether we connect to this IP address: public ones, or, for a loopback host, loopback ones only."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if loopback:
        return ip.is_loopback
    if isinstance(ip, ipaddress.IPv4Address):
        return not any(ip in network for network in _FORBIDDEN_V4)
    return ip in _PUBLIC_V6 and not any(ip in network for network in _FORBIDDEN_V6)


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return "%" not in host  # a zone names an interface of this machine
