"""The bank's two private keys in one file that only its owner can read, made on first use."""

import json
from pathlib import Path

from joserfc.jwk import ECKey, KeySet

SIGNING, PROOF = "sig", "dpop"


def load(path: Path) -> tuple[ECKey, ECKey]:
    """The signing key and the proof key. Raises OSError, ValueError when the file cannot be used."""
    if not path.exists():
        _make(path)
    keys = {entry["kid"].partition("-")[0]: ECKey.import_key(entry) for entry in json.loads(path.read_text())["keys"]}
    return keys[SIGNING], keys[PROOF]


def public_jwks(path: Path) -> dict[str, object]:
    """The JWK set to register with the service: the signing key's public part."""
    signing, _proof = load(path)
    return dict(KeySet([signing]).as_dict(private=False))


def _make(path: Path) -> None:
    made = [ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}) for _ in (SIGNING, PROOF)]
    entries = [
        key.as_dict(private=True) | {"kid": f"{name}-{key.thumbprint()[:16]}"}
        for name, key in zip((SIGNING, PROOF), made, strict=True)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(json.dumps({"keys": entries}, indent=1), "utf-8")
