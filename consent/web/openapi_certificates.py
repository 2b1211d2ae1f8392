"""What client certificates add to the OpenAPI description, where a proxy asks for them (RFC 8705)."""

from typing import Any

from dataspace.settings import Settings

TOKEN, CERTIFICATE = "certificate_token", "client_certificate"
SCHEMES = {
    TOKEN: {"type": "http", "scheme": "bearer", "description": "An access token bound to a certificate (RFC 8705)."},
    CERTIFICATE: {"type": "mutualTLS", "description": "At the second server only: the client's own certificate."},
}


def with_certificates(document: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The description with the second address and the ways to call it; as it is, where there is none."""
    if not settings.mtls_issuer:
        return document
    document["servers"].append({"url": settings.mtls_issuer, "description": "With a client certificate."})
    document["components"]["securitySchemes"] |= SCHEMES
    for item in document["paths"].values():
        for operation in (one for name, one in item.items() if name != "parameters"):
            operation["security"] += [added for way in operation["security"] if (added := _instead_of(way))]
    return document


def _instead_of(way: dict[str, list[str]]) -> dict[str, list[str]] | None:
    """The same call over a connection with a certificate, of one with a proof or with a client's secret."""
    if "dpop_token" in way:
        return {TOKEN: way["dpop_token"], CERTIFICATE: []}
    return {CERTIFICATE: []} if "client_secret_basic" in way else None
