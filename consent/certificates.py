"""X.509 certificates of clients (RFC 8705): what is registered of them, and whether one that is presented fits.

The chain is the business of the proxy that ends TLS. Whatever a certificate or a registration contains, the functions
that take it raise InvalidCertificate and nothing else.
"""

import base64
import binascii
import datetime as dt
import re
from collections.abc import Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from consent.client_options import ClientOptions
from dataspace import jwk
from dataspace.errors import DomainError

Name = tuple[frozenset[tuple[str, str]], ...]  # the relative names in order, each as pairs of type (dotted) and value
_DNS_NAME = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]{1,400}")
# RFC 4514 section 2.4: a value as the hexadecimal form of its BER encoding.
_HEX_VALUE = re.compile(r"(?P<type>(?:^|[,+])[A-Za-z0-9.-]+=)#(?P<ber>(?:[0-9A-Fa-f]{2})+)(?=[,+]|$)")
_TEXT_TAGS = {0x0C: "utf-8", 0x13: "ascii", 0x16: "ascii", 0x1E: "utf-16-be"}  # UTF8, Printable, IA5, BMP


class InvalidCertificate(DomainError):
    """A certificate, or what was registered of one, that cannot be used."""

    code = "invalid_client"
    sentence = "The client certificate is not valid."


class _AnyCase(dict[str, x509.ObjectIdentifier]):
    """Attribute types by their names, whatever the case (RFC 4512 section 2.5)."""

    def get(self, name: str, default: object = None) -> x509.ObjectIdentifier:
        return super().get(name.upper(), default)  # type: ignore[arg-type]


# RFC 4519, and the names that OpenSSL and certificate authorities write.
_TYPES = _AnyCase(
    {
        "CN": NameOID.COMMON_NAME, "L": NameOID.LOCALITY_NAME, "ST": NameOID.STATE_OR_PROVINCE_NAME,
        "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME, "C": NameOID.COUNTRY_NAME,
        "STREET": NameOID.STREET_ADDRESS, "DC": NameOID.DOMAIN_COMPONENT, "UID": NameOID.USER_ID,
        "SERIALNUMBER": NameOID.SERIAL_NUMBER, "EMAILADDRESS": NameOID.EMAIL_ADDRESS, "E": NameOID.EMAIL_ADDRESS,
        "SN": NameOID.SURNAME, "GN": NameOID.GIVEN_NAME, "TITLE": NameOID.TITLE, "POSTALCODE": NameOID.POSTAL_CODE,
        "ORGANIZATIONIDENTIFIER": NameOID.ORGANIZATION_IDENTIFIER, "BUSINESSCATEGORY": NameOID.BUSINESS_CATEGORY,
        "DNQUALIFIER": NameOID.DN_QUALIFIER, "JURISDICTIONC": NameOID.JURISDICTION_COUNTRY_NAME,
    }
)  # fmt: skip


# What is registered


def name_flaws(options: ClientOptions) -> Iterator[tuple[str, str]]:
    """What is wrong with the registered name of a ``tls_client_auth`` client: field and reason (section 2.1.2)."""
    given = [field for field in ("subject_dn", "san_dns", "san_uri") if getattr(options, f"tls_client_auth_{field}")]
    if len(given) != 1:
        yield "tls_client_auth_subject_dn", "exactly one name of the certificate: subject_dn, san_dns or san_uri"
    if options.tls_client_auth_subject_dn:
        try:
            parse_name(options.tls_client_auth_subject_dn)
        except InvalidCertificate as error:
            yield "tls_client_auth_subject_dn", error.detail
    if options.tls_client_auth_san_dns and not _DNS_NAME.fullmatch(options.tls_client_auth_san_dns.lower()):
        yield "tls_client_auth_san_dns", "is not a host name"
    if options.tls_client_auth_san_uri and not _URI.fullmatch(options.tls_client_auth_san_uri):
        yield "tls_client_auth_san_uri", "is not an absolute URI"


def parse_name(text: str) -> Name:
    """A distinguished name in the form of RFC 4514. Raises InvalidCertificate."""
    try:
        name = x509.Name.from_rfc4514_string(_HEX_VALUE.sub(_text_of_hex, text), _TYPES)
        return _comparable(name)
    except (ValueError, TypeError, IndexError):
        raise InvalidCertificate("is not a distinguished name as RFC 4514 writes it") from None


# What is presented


def read(der: bytes) -> x509.Certificate:
    """Raises InvalidCertificate."""
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        raise InvalidCertificate("not a certificate") from None


def check_dates(certificate: x509.Certificate, now: dt.datetime) -> None:
    """Raises InvalidCertificate."""
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise InvalidCertificate("the certificate is not valid yet, or has expired")


def check_name(certificate: x509.Certificate, options: ClientOptions) -> None:
    """That the certificate bears the registered name, character by character (section 2.1). Raises InvalidCertificate.

    Names of hosts are compared without regard to case; a wildcard in a certificate is the name of no client.
    """
    found = (
        (options.tls_client_auth_subject_dn, _has_subject),
        (options.tls_client_auth_san_dns, _has_host),
        (options.tls_client_auth_san_uri, _has_uri),
    )
    registered = [(expected, has) for expected, has in found if expected]
    if len(registered) != 1:
        raise InvalidCertificate("no name is registered for the certificate, or more than one")
    expected, has = registered[0]
    try:
        fits = has(certificate, expected)
    except (ValueError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        raise InvalidCertificate("the names of the certificate cannot be read") from None
    if not fits:
        raise InvalidCertificate("the certificate bears another name")


def check_key(certificate: x509.Certificate, der: bytes, keys: Sequence[jwk.PublicKey]) -> None:
    """That the certificate, or its key, is among the client's keys (section 2.2). Raises InvalidCertificate.

    A key that is registered with its certificate (``x5c``) stands for this one certificate and for no other.
    """
    thumbprint = _key_thumbprint(certificate)
    for key in keys:
        if key.thumbprint == thumbprint and ("x5c" not in key.jwk or _first_of(key.jwk["x5c"]) == der):
            return
    raise InvalidCertificate("neither the certificate nor its key is registered")


def _key_thumbprint(certificate: x509.Certificate) -> str:
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise InvalidCertificate("the key of the certificate cannot be read") from None
    if not isinstance(key, jwk.PublicKeyObject) or (
        isinstance(key, ec.EllipticCurvePublicKey) and not isinstance(key.curve, ec.SECP256R1)
    ):
        raise InvalidCertificate("the certificate has a kind of key that is not accepted here")
    return jwk.thumbprint(jwk.public_jwk(key))


def _first_of(x5c: object) -> bytes:
    """The certificate of the key itself (RFC 7517 section 4.7): base64, not base64url."""
    try:
        return base64.b64decode(x5c[0], validate=True)  # type: ignore[index]
    except (binascii.Error, ValueError, TypeError, LookupError):
        return b""


def _has_subject(certificate: x509.Certificate, expected: str) -> bool:
    return _comparable(certificate.subject) == parse_name(expected) != ()


def _has_host(certificate: x509.Certificate, expected: str) -> bool:
    return expected.lower() in {name.lower() for name in _alternative_names(certificate, x509.DNSName)}


def _has_uri(certificate: x509.Certificate, expected: str) -> bool:
    return expected in _alternative_names(certificate, x509.UniformResourceIdentifier)


def _alternative_names(
    certificate: x509.Certificate, kind: type[x509.DNSName] | type[x509.UniformResourceIdentifier]
) -> list[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(kind)


def _comparable(name: x509.Name) -> Name:
    """Without the string types of X.509: a PrintableString and a UTF8String of one text are one value."""
    return tuple(frozenset((pair.oid.dotted_string, str(pair.value)) for pair in relative) for relative in name.rdns)


def _text_of_hex(match: re.Match[str]) -> str:
    """The same attribute with its value as text, every octet escaped (RFC 4514 section 2.4)."""
    ber = bytes.fromhex(match["ber"])
    value = ber[2:]
    if ber[0] not in _TEXT_TAGS or ber[1] != len(value) or ber[1] > 127:  # longer ones stand in no subject
        raise ValueError
    text = value.decode(_TEXT_TAGS[ber[0]])
    return match["type"] + "".join(f"\\{octet:02x}" for octet in text.encode())
