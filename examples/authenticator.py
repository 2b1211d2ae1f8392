"""A passkey authenticator in software: ES256, user verified, discoverable, no attestation.

Takes the JSON options that a page hands to ``navigator.credentials`` and returns the JSON that the page would send
back (W3C Web Authentication Level 3, sections 5.1.8, 6.1 and 6.5). For the demonstration and the tests; the keyword
arguments of :class:`Knobs` make it lie, so that tests can see each lie refused.
"""

import base64
import hashlib
import json
import secrets
import struct
from dataclasses import dataclass, field
from typing import Any

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

USER_PRESENT, USER_VERIFIED, BACKUP_ELIGIBLE, BACKED_UP, CREDENTIAL_DATA = 0x01, 0x04, 0x08, 0x10, 0x40
AAGUID = bytes(16)


@dataclass(kw_only=True)
class Knobs:
    """What to do wrong. ``sign_count`` and ``user_handle`` replace the true ones when given."""

    user_verified: bool = True
    user_present: bool = True
    rp_id: str | None = None
    cross_origin: bool = False
    challenge: str | None = None
    client_data_type: str | None = None
    sign_count: int | None = None
    user_handle: bytes | None = None
    omit_user_handle: bool = False


@dataclass
class Credential:
    """One discoverable credential as the authenticator keeps it."""

    credential_id: bytes
    rp_id: str
    user_handle: bytes
    private_key: ec.EllipticCurvePrivateKey = field(repr=False)
    sign_count: int = 0


class SoftAuthenticator:
    """Holds credentials in memory. ``counts=False`` behaves as synced passkeys do: the sign count stays 0."""

    def __init__(self, *, counts: bool = True) -> None:
        self.credentials: list[Credential] = []
        self._counts = counts

    def create(self, options: dict[str, Any], origin: str, knobs: Knobs | None = None) -> dict[str, Any]:
        """Make a credential (PublicKeyCredentialCreationOptionsJSON in, RegistrationResponseJSON out).

        Raises ValueError when it holds an excluded credential already (browsers say InvalidStateError).
        """
        knobs = knobs or Knobs()
        excluded = {decode(c["id"]) for c in options.get("excludeCredentials", [])}
        if excluded & {c.credential_id for c in self.credentials}:
            raise ValueError("this authenticator is registered already")
        made = Credential(
            secrets.token_bytes(32),
            options["rp"]["id"],
            decode(options["user"]["id"]),
            ec.generate_private_key(ec.SECP256R1()),
        )
        self.credentials.append(made)
        attested = AAGUID + struct.pack(">H", len(made.credential_id)) + made.credential_id + _cose(made.private_key)
        data = _authenticator_data(knobs, made, CREDENTIAL_DATA) + attested
        client_data = _client_data("webauthn.create", options["challenge"], origin, knobs)
        return _credential_json(
            made,
            {
                "clientDataJSON": encode(client_data),
                "attestationObject": encode(cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})),
                "transports": ["internal"],
            },
        )

    def get(self, options: dict[str, Any], origin: str, knobs: Knobs | None = None, *, use: int = -1) -> dict[str, Any]:
        """Answer ``options`` (PublicKeyCredentialRequestOptionsJSON); returns AuthenticationResponseJSON.

        ``use`` picks among the credentials for the relying party, the latest by default. Raises IndexError without any.
        """
        knobs = knobs or Knobs()
        used = [c for c in self.credentials if c.rp_id == options["rpId"]][use]
        used.sign_count += self._counts
        data = _authenticator_data(knobs, used)
        client_data = _client_data("webauthn.get", options["challenge"], origin, knobs)
        signed = data + hashlib.sha256(client_data).digest()
        handle = used.user_handle if knobs.user_handle is None else knobs.user_handle
        response = {
            "clientDataJSON": encode(client_data),
            "authenticatorData": encode(data),
            "signature": encode(used.private_key.sign(signed, ec.ECDSA(hashes.SHA256()))),
        }
        return _credential_json(used, response if knobs.omit_user_handle else response | {"userHandle": encode(handle)})


def encode(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Base64url with or without padding."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _client_data(kind: str, challenge: str, origin: str, knobs: Knobs) -> bytes:
    client_data = {
        "type": knobs.client_data_type or kind,
        "challenge": knobs.challenge or challenge,
        "origin": origin,
        "crossOrigin": knobs.cross_origin,
    }
    return json.dumps(client_data).encode()


def _authenticator_data(knobs: Knobs, credential: Credential, flags: int = 0) -> bytes:
    flags |= BACKUP_ELIGIBLE | BACKED_UP
    flags |= USER_PRESENT * knobs.user_present | USER_VERIFIED * knobs.user_verified
    count = credential.sign_count if knobs.sign_count is None else knobs.sign_count
    rp_id = knobs.rp_id or credential.rp_id
    return hashlib.sha256(rp_id.encode()).digest() + struct.pack(">BI", flags, count)


def _cose(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public key as COSE: EC2, ES256, P-256 (RFC 9053 section 7.1)."""
    numbers = key.public_key().public_numbers()
    return cbor2.dumps({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})


def _credential_json(credential: Credential, response: dict[str, Any]) -> dict[str, Any]:
    identifier = encode(credential.credential_id)
    return {
        "id": identifier,
        "rawId": identifier,
        "type": "public-key",
        "authenticatorAttachment": "platform",
        "clientExtensionResults": {},
        "response": response,
    }
