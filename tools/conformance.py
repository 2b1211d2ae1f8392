"""Clients for a run of the OpenID Foundation's conformance suite, and what its plans are configured with.

`python -m tools.conformance FOLDER --suite https://www.certification.openid.net --alias NAME`, with the settings of the
service in the environment. Running it again replaces keys and secrets. docs/conformance.md says how to go on.
"""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Flask, current_app
from joserfc.jwk import ECKey

from consent import clients, scenarios
from consent.clients import AuthMethod, Profile
from consent.installation import Installation
from consent.interventions import COMMAND, Ground
from consent.oauth import identity
from consent.terms import TYPE
from dataspace import clock, datafiles
from dataspace.db import db
from dataspace.errors import InvalidFile
from dataspace.settings import Settings
from wsgi import create_app

PURPOSE = "conformance"
SECOND = "?dummy1=lorem&dummy2=ipsum"  # what the suite adds to the redirect address of a second client
MAX_READS = 1000  # of one authorization. Periodic use would be held to how often the rules let anybody read.
DAYS = dt.timedelta(days=365)
NAME = {"zh_hans": "符合性测试", "zh_hant": "符合性測試", "en": "Conformance suite"}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two clients of the same kind, as the suite asks for them. ``mtls``: they show a certificate."""

    name: str
    profile: Profile = Profile.DATA
    method: AuthMethod = AuthMethod.PRIVATE_KEY_JWT
    options: dict[str, Any] = field(default_factory=dict)
    mtls: bool = False

    def client_id(self, number: int) -> str:
        return f"oidf-{self.name}-{number}"


def pairs(base: str, *, certificates: bool) -> Iterator[Pair]:
    """All of them; those with certificates only where a proxy tells of them. ``base``: the suite's address of us."""
    signing_out = {
        "post_logout_redirect_uris": [f"{base}/post_logout_redirect"],
        "backchannel_logout_uri": f"{base}/backchannel_logout",
        "backchannel_logout_session_required": True,
    }
    yield Pair(name="login", profile=Profile.LOGIN, method=AuthMethod.SECRET_BASIC, options=signing_out)
    signed = {"require_signed_request_object": True, "authorization_signed_response_alg": "ES256"}
    bound = {"tls_client_certificate_bound_access_tokens": True}
    by_certificate = {"method": AuthMethod.SELF_SIGNED_TLS, "mtls": True}
    for suffix, options in (("", {}), ("-signing", signed)):
        yield Pair(name=f"jwt-dpop{suffix}", options=options)
        if certificates:
            yield Pair(name=f"jwt-mtls{suffix}", options=options | bound, mtls=True)
            yield Pair(name=f"mtls-dpop{suffix}", options=options, **by_certificate)
            yield Pair(name=f"mtls-mtls{suffix}", options=options | bound, **by_certificate)


def prepare(folder: Path, base: str) -> list[Path]:
    """Register the clients and write a configuration for each pair. Raises InvalidFile, naming every problem."""
    settings, now = current_settings(), clock.now()
    here = Installation.of(settings)
    wanted = list(pairs(base, certificates=here.certificates))
    content = {
        "clients": [_client(pair, number, base) for pair in wanted for number in (1, 2)],
        "purposes": [_purpose(p.client_id(n)) for p in wanted if p.profile is Profile.DATA for n in (1, 2)],
    }
    entries, problems = datafiles.judge(PURPOSE, content, datafiles.schema(scenarios.SCHEMA), scenarios.NAMES)
    if problems := problems + scenarios.check_meaning(entries, now, here=here):
        raise InvalidFile(problems)
    list(scenarios.store(entries, now, actor_id=COMMAND))
    written = []
    for pair in wanted:
        for name, configuration in _configurations(pair, folder.name, settings, now):
            written.append(folder / f"{name}.json")
            written[-1].touch(mode=0o600)
            written[-1].write_text(json.dumps(configuration, indent=1), "utf-8")
    db.session.commit()
    return written


def current_settings() -> Settings:
    """Of the application at hand."""
    found: Settings = current_app.extensions["dataspace"].settings
    return found


# What is registered


def _client(pair: Pair, number: int, base: str) -> dict[str, Any]:
    return {
        "client_id": pair.client_id(number),
        "legal_name": {language: f"{name} {pair.name} {number}" for language, name in NAME.items()},
        "uscc": "",
        "foreign_registration": "test client, no body",
        "address": "-",
        "contact": "certification@oidf.org",
        "privacy_officer": "-",
        "accreditation": {"number": "-", "level": "-"},
        "profile": pair.profile.value,
        "redirect_uris": [f"{base}/callback", f"{base}/callback{SECOND}"],
        "token_endpoint_auth_method": pair.method.value,
        "options": pair.options,
    }


def _purpose(client_id: str) -> dict[str, Any]:
    """Everything that claims tell of a person, to be read as often as the suite does in one module."""
    fields: dict[str, list[str]] = {identity.IDENTITY: ["name"]}
    for item_id, name, _make in identity.SOURCES.values():
        fields.setdefault(item_id, []).append(name)
    texts = {"zh_hans": "检查协议的实现", "zh_hant": "檢查協定的實作", "en": "Check how the protocol is implemented"}
    kept = {"zh_hans": "测试结束后删除", "zh_hant": "測試結束後刪除", "en": "Deleted after the test"}
    return {
        "client_id": client_id, "code": PURPOSE, "scenario": "13", "text": texts,
        "holder_kinds": ["natural_person"], "mode": "one_time", "max_reads": MAX_READS,
        "max_duration_days": 30, "default_duration_days": 7,
        "retention": {"text": kept}, "storage_location": kept, "third_parties": [], "automated_decision": "none",
        "legal_basis": "consent", "contact": "certification@oidf.org",
        "items": [
            {"item": item_id, "fields": names, "necessity": "required", "reason": texts}
            for item_id, names in fields.items()
        ],
    }  # fmt: skip


# What the suite is told


def _configurations(
    pair: Pair, alias: str, settings: Settings, now: dt.datetime
) -> Iterator[tuple[str, dict[str, Any]]]:
    shared: dict[str, Any] = {
        "alias": alias,
        "server": {"discoveryUrl": f"{settings.issuer}/.well-known/openid-configuration"},
    }
    if pair.profile is Profile.LOGIN:
        first, second = ({"client_id": pair.client_id(n), "client_secret": _secret(pair.client_id(n))} for n in (1, 2))
        yield pair.name, shared | {"client": first, "client2": second, "client_secret_post": second}
        yield "dynamic", shared | {"client": {"client_name": NAME["en"]}}
        return
    bound = "tls_client_certificate_bound_access_tokens" in pair.options
    shared["resource"] = {
        "resourceUrl": f"{settings.mtls_issuer if bound else settings.issuer}/api/v1/data",
        "richAuthorizationRequest": [{"type": TYPE, "purpose": PURPOSE}],
    }
    holders = [_keys(pair, n, settings, now) for n in (1, 2)]
    for kind, scope in (("openid", f"openid {PURPOSE}"), ("oauth", PURPOSE)):
        own = {}
        for n, (client, certificate) in enumerate(holders, start=1):
            suffix = "" if n == 1 else str(n)
            own[f"client{suffix}"] = client | {"scope": scope}
            if certificate:
                own[f"mtls{suffix}"] = certificate
        yield f"{pair.name}-{kind}", shared | own


def _secret(client_id: str) -> str:
    return clients.new_secret(clients.get(client_id))


def _keys(pair: Pair, number: int, settings: Settings, now: dt.datetime) -> tuple[dict[str, Any], dict[str, str]]:
    """Fresh keys of a client, the public ones registered: what the suite calls ``client`` and ``mtls``."""
    client_id = pair.client_id(number)
    signing = ECKey.generate_key("P-256", {"kid": f"{client_id}-{now:%y%m%d%H%M%S}", "alg": "ES256", "use": "sig"})
    registered, certificate = [signing.as_dict(private=False)], {}
    if pair.mtls:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        certificate = {"cert": _self_signed(client_id, key, now), "key": pem.decode()}
        if pair.method is AuthMethod.SELF_SIGNED_TLS:
            registered.append(ECKey.import_key(pem).as_dict(private=False) | {"kid": f"{signing.kid}-tls"})
    clients.change(
        client_id, {"jwks": {"keys": registered}}, now, actor_id=COMMAND, reason_code=Ground.KEY_CHANGE,
        text=PURPOSE, here=Installation.of(settings),
    )  # fmt: skip
    return {"client_id": client_id, "jwks": {"keys": [signing.as_dict(private=True)]}}, certificate


def _self_signed(client_id: str, key: ec.EllipticCurvePrivateKey, now: dt.datetime) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, client_id)])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + DAYS)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


@click.command(help=__doc__)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--suite", default="https://www.certification.openid.net", show_default=True, help="Where it runs.")
@click.option("--alias", required=True, help="Of the test plans: part of the addresses that the suite listens at.")
def main(folder: Path, suite: str, alias: str) -> None:
    app: Flask = create_app()
    with app.app_context():
        target = folder / alias
        target.mkdir(parents=True, exist_ok=True)
        for path in prepare(target, f"{suite}/test/a/{alias}"):
            click.echo(str(path))


if __name__ == "__main__":
    main()
