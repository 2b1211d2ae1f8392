"""A world to read from, and the volume behind it."""

import datetime as dt
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click
from sqlalchemy import insert

from bench import requests
from consent import clients, documents
from consent.installation import Installation
from consent.oauth import tokens as store
from consent.oauth.bindings import digest_of, new_secret
from consent.oauth.codes import PREFIX as CODE_PREFIX
from consent.oauth.codes import AuthorizationCode
from consent.purposes import Purpose
from consent.records import Consent, ConsentEvent, ConsentVersion
from dataspace import jwk, spaces
from dataspace.accesses import Access
from dataspace.catalogue import DataItem
from dataspace.db import db, new_id, table_of
from dataspace.holders import Holder
from dataspace.sealing import seal
from dataspace.vault import DataKey
from dataspace.web.shell import services

TEXT = {"zh_hans": "审核本次贷款申请", "zh_hant": "審核本次貸款申請", "en": "Review this loan application"}
ITEM = "p.edu.degree"
FIELDS = ["school", "major", "level", "date", "cert_no"]
CHUNK = 5000
YEAR = dt.timedelta(days=365)


@dataclass(frozen=True, kw_only=True)
class World:
    """The client with its keys, and the consents that are read during a measurement."""

    client_key: jwk.SigningKey
    proof_key: jwk.SigningKey
    proof_jwk: jwk.Jwk
    consents: list[str]


def world(readable: int, now: dt.datetime) -> World:
    """One client, one purpose, and ``readable`` holders with one record and one consent each."""
    client_key = jwk.SigningKey(kid="bench-1", alg="ES256", private_key=jwk.generate_key("ES256"))
    proof_key = jwk.SigningKey(kid=None, alg="ES256", private_key=jwk.generate_key("ES256"))
    public = jwk.public_jwk(client_key.private_key, kid="bench-1", alg="ES256")
    values = {
        "client_id": requests.CLIENT, "legal_name": TEXT, "contact": "bench", "profile": "data",
        "redirect_uris": [requests.REDIRECT_URI], "token_endpoint_auth_method": "private_key_jwt",
        "jwks": {"keys": [public]},
    }  # fmt: skip
    clients.register(values, now, actor_id=None, here=Installation(loopback=True))
    data_item = item(now, ITEM)
    db.session.add(_purpose(now))
    db.session.flush()
    consents = [consent_id for _space, _holder, consent_id in _holders_with_consents(readable, 1, now, item=data_item)]
    db.session.commit()
    public_proof = jwk.public_jwk(proof_key.private_key, kid=None, alg=None, use=None)
    return World(client_key=client_key, proof_key=proof_key, proof_jwk=public_proof, consents=consents)


def volume(holders: int, consents: int, accesses: int, now: dt.datetime) -> None:
    """So many holders, consents and access rows beside the world, with a progress bar."""
    made = list(_progress("holders and consents", consents, _holders_with_consents(holders, consents // holders, now)))
    db.session.commit()
    with click.progressbar(length=accesses, label="access rows") as bar:
        for start in range(0, accesses, CHUNK):
            rows = [_access(*made[n % len(made)], n, now) for n in range(start, min(start + CHUNK, accesses))]
            _add(Access, rows)
            bar.update(len(rows))
    db.session.commit()


def item(now: dt.datetime, item_id: str) -> DataItem:
    """An item of five fields."""
    made = DataItem(
        item_id=item_id, version=1, subject="natural_person", labels=TEXT, authority=TEXT, system="bench",
        fields=[{"id": f, "label": TEXT} for f in FIELDS], cardinality="one", period_field=None, pi_class="PI", level=2,
        sensitive=False, impact=None, share="C", important=False, frequency="Y", rule_set="gd-demo-2026.1",
        digest="0" * 64, loaded_at=now,
    )  # fmt: skip
    db.session.add(made)
    db.session.flush()
    return made


def codes(world: World, count: int, now: dt.datetime) -> list[str]:
    """So many unused authorization codes, bound to the proof key."""
    secrets_ = [new_secret(CODE_PREFIX) for _ in range(count)]
    shared = _bound(world, now) | {
        "redirect_uri": requests.REDIRECT_URI, "code_challenge": requests.challenge(), "nonce": None, "used_at": None,
    }  # fmt: skip
    rows = [
        shared | {"digest": digest_of(code), "consent_id": world.consents[n % len(world.consents)]}
        for n, code in enumerate(secrets_)
    ]
    _add(AuthorizationCode, rows)
    db.session.commit()
    return secrets_


def tokens(world: World, kind: str, scope: str, now: dt.datetime) -> list[str]:
    """One live access or refresh token per readable consent."""
    prefix = {"access": store.ACCESS_PREFIX, "refresh": store.REFRESH_PREFIX}[kind]
    secrets_ = [new_secret(prefix) for _ in world.consents]
    shared = _bound(world, now) | {"kind": kind, "scope": scope, "revoked_at": None}
    rows = [
        shared | {"digest": digest_of(t), "family": digest_of("code-" + t), "consent_id": consent_id}
        for t, consent_id in zip(secrets_, world.consents, strict=True)
    ]
    _add(store.Token, rows)
    db.session.commit()
    return secrets_


def _bound(world: World, now: dt.datetime) -> dict[str, Any]:
    return {
        "client_id": requests.CLIENT, "scope": "", "jkt": jwk.thumbprint(world.proof_jwk), "auth_time": now,
        "acr": "urn:dataspace:acr:passkey", "amr": "swk", "issued_at": now, "expires_at": now + dt.timedelta(hours=1),
    }  # fmt: skip


def _holders_with_consents(
    holders: int, each: int, now: dt.datetime, *, item: DataItem | None = None
) -> Iterator[tuple[str, str, str]]:
    """Add holders in chunks; yields (space, holder, consent). With ``item``, each holder has a record of it."""
    for start in range(0, holders, CHUNK):
        size = min(CHUNK, holders - start)
        people = [(new_id("spc"), new_id("hld"), secrets.token_bytes(32)) for _ in range(size)]
        vault = services().vault
        _add(DataKey, [{"space_id": s, "wrapped": vault.wrap(k, identity=s), "created_at": now} for s, _h, k in people])
        _add(Holder, [_holder(s, h, k, now) for s, h, k in people])
        if item is not None:
            _add(spaces.Record, [_record(s, k, now) for s, _h, k in people])
        made = [(s, h, new_id("cns")) for s, h, _k in people for _ in range(each)]
        _add(Consent, [_consent(*ids, now) for ids in made])
        _add(ConsentVersion, [_version(consent_id, now) for _s, _h, consent_id in made])
        _add(ConsentEvent, [_event(consent_id, now) for _s, _h, consent_id in made])
        yield from made


def _holder(space_id: str, holder_id: str, key: bytes, now: dt.datetime) -> dict[str, Any]:
    profile = json.dumps({"name": "示例", "identifier": "440099199003150026"}).encode()
    return {
        "holder_id": holder_id, "kind": "natural_person", "identifier_index": secrets.token_hex(32),
        "space_id": space_id, "sealed_profile": seal(key, profile, identity=holder_id), "created_at": now,
    }  # fmt: skip


def _record(space_id: str, key: bytes, now: dt.datetime) -> dict[str, Any]:
    record_id = new_id("rec")
    row = {"school": "示例大学", "major": "会计学", "level": "本科", "date": "2012-07-01", "cert_no": "X0001"}
    content = json.dumps({"salt": secrets.token_hex(16), "rows": [row]}, ensure_ascii=False).encode()
    return {
        "record_id": record_id, "space_id": space_id, "item_id": ITEM, "item_version": 1, "version": 1, "as_of": now,
        "digest": secrets.token_hex(32), "sealed": seal(key, content, identity=record_id), "received_at": now,
    }  # fmt: skip


def _consent(space_id: str, holder_id: str, consent_id: str, now: dt.datetime) -> dict[str, Any]:
    return {
        "consent_id": consent_id, "kind": "data", "space_id": space_id, "holder_id": holder_id, "person_id": holder_id,
        "capacity": "self", "client_id": requests.CLIENT, "purpose_code": "loan-review", "purpose_text": TEXT,
        "reference_no": "LN-1", "state": "active", "state_since": now, "version": 1, "last_seq": 1, "created_at": now,
        "not_before": now - YEAR, "expires_at": now + YEAR, "max_reads": None,
    }  # fmt: skip


def _version(consent_id: str, now: dt.datetime) -> dict[str, Any]:
    granted = {"item": ITEM, "version": 1, "fields": FIELDS, "from": None, "to": None}
    return {
        "consent_id": consent_id, "version": 1, "document": json.dumps({"at": documents.stamp(now)}),
        "digest": "0" * 64, "signature": "e30..e30", "granted": [granted], "created_at": now,
    }  # fmt: skip


def _event(consent_id: str, now: dt.datetime) -> dict[str, Any]:
    return {
        "consent_id": consent_id, "seq": 1, "kind": "consent:given", "at": now, "channel": "page", "text": "",
        "digest": "0" * 64,
    }  # fmt: skip


def _access(space_id: str, _holder: str, consent_id: str, n: int, now: dt.datetime) -> dict[str, Any]:
    return {
        "at": now - dt.timedelta(minutes=n % 500_000), "space_id": space_id, "consent_id": consent_id,
        "consent_version": 1, "client_id": requests.CLIENT, "recipient": "岭南示例银行", "purpose": TEXT["zh_hans"],
        "reference_no": "LN-1", "item_ids": [ITEM], "outcome": "answered", "delivery_id": new_id("dlv"),
    }  # fmt: skip


def _purpose(now: dt.datetime) -> Purpose:
    return Purpose(
        client_id=requests.CLIENT, code="loan-review", text=TEXT, holder_kinds=["natural_person"], mode="periodic",
        max_duration_days=365, default_duration_days=30, retention={"text": TEXT}, storage_location=TEXT,
        items=[{"item": ITEM, "fields": FIELDS, "necessity": "required", "reason": TEXT}], third_parties=[],
        approved_at=now,
    )  # fmt: skip


def _add(model: Any, rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), CHUNK):
        db.session.connection().execute(insert(table_of(model)), rows[start : start + CHUNK])


def _progress(label: str, length: int, made: Iterator[Any]) -> Iterator[Any]:
    with click.progressbar(made, length=length, label=label) as bar:
        yield from bar
