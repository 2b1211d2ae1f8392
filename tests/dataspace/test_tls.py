"""What a proxy says about the caller's certificate: believed only beside the secret, and read in two spellings."""

import base64
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataspace.errors import SettingsError
from dataspace.settings import Settings
from dataspace.tls import ClientCertificate, client_certificate
from tests.conftest import ISSUER, make_settings

SECRET = "p" * 43
DER = bytes(range(256)) * 3
BASE64 = base64.b64encode(DER).decode()
PEM = f"-----BEGIN CERTIFICATE-----\n{base64.encodebytes(DER).decode()}-----END CERTIFICATE-----\n"
CONFIGURED: dict[str, Any] = {
    "mtls_issuer": "http://localhost:8443",
    "client_certificate_header": "Client-Cert",
    "client_certificate_secret": SECRET,
    "client_certificate_verify_header": "X-Verify",
}


def settings(**changes: Any) -> Settings:
    found = make_settings("sqlite://", **(CONFIGURED | changes))
    found.check()
    return found


def seen(said: str, *, secret: str | None = SECRET, verdict: str = "SUCCESS", **changes: Any) -> Any:
    headers = {"Client-Cert": said, "X-Verify": verdict}
    headers |= {} if secret is None else {"X-Client-Cert-Secret": secret}
    return client_certificate(headers, settings(**changes))


@pytest.mark.parametrize(
    "said", [f":{BASE64}:", quote(PEM), quote(PEM.strip()), PEM], ids=["9440", "nginx", "cut", "PEM"]
)
def test_both_spellings(said: str) -> None:
    assert seen(said) == ClientCertificate(der=DER, verified=True)


@pytest.mark.parametrize(
    ("verdict", "changes"),
    [
        ("FAILED:self-signed certificate", {}),
        ("NONE", {}),
        ("", {}),
        ("success", {}),
        ("SUCCESS", {"client_certificate_verify_header": ""}),
    ],
    ids=["failed", "none", "nothing", "another word", "not set up"],
)
def test_an_authority_vouches_for_it_only_if_the_proxy_says_so(verdict: str, changes: dict[str, Any]) -> None:
    assert seen(f":{BASE64}:", verdict=verdict, **changes) == ClientCertificate(der=DER, verified=False)


@pytest.mark.parametrize("secret", [None, "", "p" * 42, "p" * 44, "q" * 43, "密" * 43])
def test_whoever_has_not_the_secret_is_no_proxy(secret: str | None) -> None:
    assert seen(f":{BASE64}:", secret=secret) is None


def test_nothing_is_read_where_nothing_is_set() -> None:
    off = make_settings("sqlite://")
    for headers in (
        {"Client-Cert": f":{BASE64}:"},
        {"Client-Cert": f":{BASE64}:", "X-Client-Cert-Secret": ""},
        {"": ""},
    ):
        assert client_certificate(headers, off) is None


BROKEN = {
    "nothing": "",
    "an empty byte sequence": "::",
    "not base64": ":!!!!:",
    "base64url": ":" + BASE64.replace("/", "_") + ":",
    "two joined by a comma": f":{BASE64}:, :{BASE64}:",
    "two in one": f":{BASE64}::{BASE64}:",
    "two PEM blocks": quote(PEM + PEM),
    "a private key": quote(PEM.replace("CERTIFICATE", "PRIVATE KEY")),
    "PEM without end": quote(PEM[:-30]),
    "a list": f"(:{BASE64}:)",
    "too long": ":" + "A" * 17_000 + ":",
}


@pytest.mark.parametrize("said", BROKEN.values(), ids=BROKEN.keys())
def test_what_cannot_be_read_is_no_certificate(said: str) -> None:
    assert seen(said) is None


@given(st.text(max_size=200))
def test_garbage(said: str) -> None:
    found = seen(said)
    assert found is None or found.der


HALF: dict[str, tuple[dict[str, Any], str]] = {
    "no header": ({"client_certificate_header": ""}, "DATASPACE_CLIENT_CERTIFICATE_HEADER is missing"),
    "no secret": ({"client_certificate_secret": ""}, "DATASPACE_CLIENT_CERTIFICATE_SECRET is missing"),
    "no base address": ({"mtls_issuer": ""}, "DATASPACE_MTLS_ISSUER is missing"),
    "a short secret": ({"client_certificate_secret": "p" * 31}, "32 characters"),
    "only the verdict": (
        dict.fromkeys(("mtls_issuer", "client_certificate_header", "client_certificate_secret"), ""), "VERIFY_HEADER",
    ),
    "a base address with a path": ({"mtls_issuer": "http://localhost:8443/mtls"}, "an origin"),
    "a base address without TLS": ({"mtls_issuer": "http://mtls.example"}, "https"),
    "the issuer itself": ({"mtls_issuer": ISSUER}, "must not be the issuer"),
    "a header with a space": ({"client_certificate_header": "Client Cert"}, "names of headers"),
    "a header with an underscore": ({"client_certificate_verify_header": "X_Verify"}, "names of headers"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "said"), HALF.values(), ids=HALF.keys())
def test_the_service_does_not_start_with_half_of_it(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        settings(**changes)


def test_the_secret_is_not_shown() -> None:
    assert SECRET not in repr(settings())
