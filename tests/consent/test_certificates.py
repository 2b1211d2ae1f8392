"""Certificates of clients (RFC 8705): names as RFC 4514 writes them, keys that are registered, and garbage."""

import base64
import datetime as dt
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from consent import certificates
from consent.certificates import InvalidCertificate
from consent.client_options import ClientOptions
from dataspace import clock, jwk
from tests.consent.certified import SUBJECT, Credential, certificate

BANK = certificate(hosts=("Bank.Example", "*.bank.example"), uris=("https://bank.example/client",))
CURIOUS = certificate(
    x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, 'Bank, "Sons" + Co=1; '),
            x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, "NTRCN-91440099MA9T00034R"),
            x509.NameAttribute(NameOID.COMMON_NAME, "岭南示例银行"),
        ]
    )
)
ORGANIZATION = r"O=Bank\, \"Sons\" \+ Co=1\;\ "


def fits(shown: Credential, **registered: str) -> bool:
    options = ClientOptions(**{f"tls_client_auth_{name}": value for name, value in registered.items()})
    try:
        certificates.check_name(shown.certificate, options)
    except InvalidCertificate:
        return False
    return True


@pytest.mark.parametrize(
    ("shown", "subject_dn"),
    [
        (BANK, SUBJECT),
        (BANK, "cn=bank.example,o=Example Bank,c=CN"),
        (BANK, "2.5.4.3=bank.example,2.5.4.10=Example Bank,2.5.4.6=CN"),
        (BANK, r"CN=bank\2eexample,O=Example\20Bank,C=CN"),
        (BANK, "CN=bank.example,O=#0c0c4578616d706c652042616e6b,C=#1302434e"),
        (CURIOUS, rf"CN=岭南示例银行,organizationIdentifier=NTRCN-91440099MA9T00034R,{ORGANIZATION},C=CN"),
        (CURIOUS, rf"CN=\e5\b2\ad南示例银行,2.5.4.97=NTRCN-91440099MA9T00034R,{ORGANIZATION},C=CN"),
        (CURIOUS, rf"CN=岭南示例银行,2.5.4.97=#0c18{b'NTRCN-91440099MA9T00034R'.hex()},{ORGANIZATION},C=CN"),
    ],
)
def test_one_name_in_many_spellings(shown: Credential, subject_dn: str) -> None:
    assert fits(shown, subject_dn=subject_dn)


@pytest.mark.parametrize(
    "subject_dn",
    [
        "C=CN,O=Example Bank,CN=bank.example",
        "CN=bank.example,O=Example Bank",
        "CN=bank.example,O=Example Bank,C=CN,ST=GD",
        "CN=bank.example+O=Example Bank,C=CN",
        "CN=BANK.EXAMPLE,O=Example Bank,C=CN",
        "CN=bank.example,OU=Example Bank,C=CN",
        "CN=bank.example,O=Example  Bank,C=CN",
        "CN=*.example,O=Example Bank,C=CN",
        "CN=bank.example",
    ],
)
def test_names_that_are_others(subject_dn: str) -> None:
    assert not fits(BANK, subject_dn=subject_dn)


def test_alternative_names() -> None:
    assert fits(BANK, san_dns="bank.example")
    assert fits(BANK, san_dns="BANK.example")
    assert fits(BANK, san_uri="https://bank.example/client")
    for other in ("www.bank.example", "example", "ank.example", "bank.example."):
        assert not fits(BANK, san_dns=other), "a wildcard in a certificate is no name of a client"
    for other in ("https://bank.example/client/", "https://BANK.example/client", "bank.example"):
        assert not fits(BANK, san_uri=other)
    assert not fits(CURIOUS, san_dns="bank.example"), "it has none"


def test_exactly_one_name_counts() -> None:
    assert not fits(BANK)
    assert not fits(BANK, subject_dn=SUBJECT, san_dns="bank.example")


FLAWS: dict[str, tuple[dict[str, str], str]] = {
    "none": ({}, "exactly one"),
    "two": ({"subject_dn": SUBJECT, "san_dns": "bank.example"}, "exactly one"),
    "as OpenSSL prints it": ({"subject_dn": "C = CN, O = Example Bank"}, "RFC 4514"),
    "with slashes": ({"subject_dn": "/C=CN/O=Example Bank"}, "RFC 4514"),
    "an unknown attribute": ({"subject_dn": "X-BANK=1"}, "RFC 4514"),
    "a country of three letters": ({"subject_dn": "C=CHN"}, "RFC 4514"),
    "a stray comma": ({"subject_dn": "CN=a,"}, "RFC 4514"),
    "broken BER": ({"subject_dn": "CN=#0c05aa"}, "RFC 4514"),
    "an empty BER": ({"subject_dn": "CN=#0c"}, "RFC 4514"),
    "a host with a wildcard": ({"san_dns": "*.bank.example"}, "host name"),
    "an address": ({"san_dns": "https://bank.example"}, "host name"),
    "a URI without scheme": ({"san_uri": "bank.example/client"}, "absolute URI"),
}


@pytest.mark.parametrize(("registered", "said"), FLAWS.values(), ids=FLAWS.keys())
def test_registrations_that_are_refused(registered: dict[str, str], said: str) -> None:
    options = ClientOptions(**{f"tls_client_auth_{name}": value for name, value in registered.items()})
    assert any(said in what for _field, what in certificates.name_flaws(options))


@given(st.text())
def test_garbage_in_place_of_a_name(garbage: str) -> None:
    try:
        certificates.parse_name(garbage)
    except InvalidCertificate:
        return


@given(st.binary())
def test_garbage_in_place_of_a_certificate(garbage: bytes) -> None:
    with pytest.raises(InvalidCertificate):
        certificates.read(garbage)


# Keys


def registered(shown: Credential, **members: Any) -> tuple[jwk.PublicKey, ...]:
    return jwk.parse_jwk_set({"keys": [jwk.public_jwk(shown.key) | members]})


def x5c(shown: Credential) -> dict[str, Any]:
    return {"x5c": [base64.b64encode(shown.der).decode()]}


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["EC", "Ed25519", "RSA"],
)
def test_the_key_or_the_certificate_is_registered(key: jwk.PrivateKeyObject) -> None:
    shown = certificate(key=key)
    certificates.check_key(shown.certificate, shown.der, registered(shown))
    certificates.check_key(shown.certificate, shown.der, registered(shown, **x5c(shown)))
    certificates.check_key(shown.certificate, shown.der, registered(BANK) + registered(shown))


def test_other_keys_and_certificates() -> None:
    again = certificate(key=BANK.key)  # a new certificate for the same key
    refused: list[tuple[Credential, tuple[jwk.PublicKey, ...]]] = [
        (BANK, ()),
        (BANK, registered(CURIOUS)),
        (again, registered(BANK, **x5c(BANK))),
        (BANK, registered(CURIOUS, **x5c(BANK))),
        (BANK, registered(BANK, x5c=[])),
        (BANK, registered(BANK, x5c="AAAA")),
        (BANK, registered(BANK, x5c=[7])),
    ]
    for shown, keys in refused:
        with pytest.raises(InvalidCertificate, match="registered"):
            certificates.check_key(shown.certificate, shown.der, keys)
    certificates.check_key(again.certificate, again.der, registered(BANK))


def test_kinds_of_keys_that_we_do_not_take() -> None:
    shown = certificate(key=ec.generate_private_key(ec.SECP384R1()))
    with pytest.raises(InvalidCertificate, match="kind of key"):
        certificates.check_key(shown.certificate, shown.der, registered(BANK))


@pytest.mark.parametrize("days", [(-30, -1), (1, 30)], ids=["expired", "not valid yet"])
def test_dates(days: tuple[int, int]) -> None:
    now = clock.now()
    certificates.check_dates(BANK.certificate, now)
    with pytest.raises(InvalidCertificate):
        certificates.check_dates(certificate(days=days).certificate, now)
    with pytest.raises(InvalidCertificate):
        certificates.check_dates(BANK.certificate, now + dt.timedelta(days=40))
