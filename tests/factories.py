"""Small worlds for tests, made with the domain's own functions."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from flask import current_app

from consent import clients, lifecycle
from consent.admission import admit
from consent.asks import Ask, sign_in
from consent.clients import Client, Profile
from consent.documents import Choices, Shown
from consent.history import Registry
from consent.installation import EVERYTHING
from consent.purposes import Purpose
from consent.records import Consent
from consent.terms import Terms
from dataspace import clock, entries, holders, jwk, mandates, spaces
from dataspace.catalogue import DataItem
from dataspace.db import db
from dataspace.entries import Entry
from dataspace.holders import Holder, HolderKind, Role
from dataspace.identifiers import parse
from dataspace.mandates import Actor, Capacity
from dataspace.sources import registry as registry_of_sources
from dataspace.sources.incoming import from_document
from dataspace.sources.receiving import Reception
from dataspace.sources.registry import Source
from dataspace.sources.storing import Verdict
from dataspace.web.shell import services

PERSON = "440099199003150026"  # 陈嘉怡; region 440099 is unassigned, so nobody real can match
OTHER_PERSON = "440099197805220058"  # 梁志文
LEGAL_REP = "440099198511200013"  # 李伟强
AGENT = "440099198807070086"  # 周敏
COMPANY = "91440099MA9T000184"
REDIRECT_URI = "https://bank.example/callback"


def text(zh: str, en: str = "") -> dict[str, str]:
    """A text in the three languages."""
    return {"zh_hans": zh, "zh_hant": zh, "en": en or zh}


def registry() -> Registry:
    """The lifecycle's surroundings in the current application."""
    found: Registry = current_app.extensions["consent"]
    return found


def holder(
    now: dt.datetime, identifier: str = PERSON, name: str = "陈嘉怡", kind: HolderKind = HolderKind.NATURAL_PERSON
) -> Holder:
    """A registered holder."""
    found = parse(kind, identifier, today=now.date())
    return holders.register(kind, found, name, now, vault=services().vault, index=services().index)


def company(now: dt.datetime) -> Holder:
    """粤海明珠电子, a legal entity."""
    return holder(now, COMPANY, "粤海明珠电子(示例)有限公司", HolderKind.LEGAL_ENTITY)


def mandate(principal: Holder, agent: Holder, capacity: Capacity, now: dt.datetime) -> mandates.Mandate:
    """A mandate in force since yesterday."""
    return mandates.appoint(principal, agent, capacity, now - dt.timedelta(days=1))


def administrator(now: dt.datetime, identifier: str = OTHER_PERSON, name: str = "管理员") -> Holder:
    """A natural person with the administrator role."""
    person = holder(now, identifier, name)
    holders.grant_role(person, Role.ADMINISTRATOR, now)
    db.session.flush()
    return person


def actor(person: Holder, now: dt.datetime, *, on_behalf_of: mandates.Mandate | None = None) -> Actor:
    """A signed-in person, for self or under a mandate, as domain functions take it."""
    target = db.session.get_one(Holder, on_behalf_of.principal_id) if on_behalf_of else person
    return Actor(
        signin_id="sgn_test",
        person_id=person.holder_id,
        holder_id=target.holder_id,
        space_id=target.space_id,
        capacity=Capacity(on_behalf_of.capacity) if on_behalf_of else Capacity.SELF,
        mandate_id=on_behalf_of.mandate_id if on_behalf_of else None,
        auth_time=now,
        acr="urn:dataspace:acr:passkey",
    )


def supervisor(person: Holder, now: dt.datetime) -> Actor:
    """A signed-in administrator."""
    return Actor(
        signin_id="sgn_test", person_id=person.holder_id, holder_id="", space_id="",
        capacity=Capacity.ADMINISTRATOR, mandate_id=None, auth_time=now, acr="urn:dataspace:acr:passkey",
    )  # fmt: skip


def item(
    now: dt.datetime,
    item_id: str = "p.edu.degree",
    fields: Sequence[str] = ("school", "major", "level"),
    *,
    sensitive: bool = False,
    many: bool = False,
    period_field: str | None = None,
) -> DataItem:
    """A catalogue item with plain fields."""
    row = DataItem(
        item_id=item_id, version=1, subject="natural_person" if item_id.startswith("p.") else "body",
        labels=text(f"数据 {item_id}", f"Item {item_id}"), authority=text("示例机关", "Example authority"),
        system="example", fields=[{"id": f, "label": text(f"字段 {f}", f"Field {f}")} for f in fields],
        cardinality="many" if many else "one", period_field=period_field, pi_class="SPI" if sensitive else "PI",
        level=3, sensitive=sensitive, impact=text("可能影响您的权益", "May affect your rights") if sensitive else None,
        share="C", important=False, frequency="M", rule_set="gd-demo-2026.1", digest=item_id.ljust(64, "0")[:64],
        loaded_at=now,
    )  # fmt: skip
    db.session.add(row)
    db.session.flush()
    return row


def record(owner: Holder, of: DataItem, rows: list[dict[str, Any]], now: dt.datetime) -> spaces.Record:
    """A record as of yesterday."""
    return spaces.deposit(owner, of, rows, as_of=now - dt.timedelta(days=1), now=now, vault=services().vault)


def source(now: dt.datetime, *items: DataItem, source_id: str = "example", **changes: Any) -> Source:
    """A registered source of the example authority; ``command`` unless it is said otherwise."""
    values: dict[str, Any] = {
        "name": text("示例来源", "Example source"), "authority": "示例机关", "kind": "command", "address": "",
        "item_ids": [i.item_id for i in items], "every_seconds": 0, "client_id": None, "enabled": True,
        "loaded_at": now,
    }  # fmt: skip
    row = Source(source_id=source_id, **(values | changes))
    db.session.add(row)
    db.session.flush()
    return row


def reception(now: dt.datetime, source_id: str = "example") -> Reception:
    """What takes in the records of a registered source."""
    source, made = registry_of_sources.get(source_id), services()
    return Reception.of(source, now, vault=made.vault, index=made.index, demanded=made.demanded)


def bring(at: dt.datetime, row: dict[str, Any], source_id: str = "example", **said: Any) -> Verdict:
    """A source brings the degree of PERSON as of ``at``; committed. ``said`` adds or replaces members of the record."""
    record = {"identifier": PERSON, "item": "p.edu.degree", "as_of": at.isoformat(), "rows": [row]} | said
    (verdict,) = reception(at, source_id).take([from_document(1, record)], at)
    db.session.commit()
    return verdict


@dataclass(frozen=True, kw_only=True)
class Party:
    """A registered third party and the private key that only it has."""

    client: Client
    key: jwk.SigningKey
    secret: str | None = None


def party(
    now: dt.datetime, client_id: str = "bank", *, profile: Profile = Profile.DATA, method: str = "private_key_jwt",
    redirect_uris: Sequence[str] = (REDIRECT_URI,), name: str = "岭南示例银行", **options: Any,
) -> Party:  # fmt: skip
    """A client with an ES256 key, a secret when its method uses one, and metadata of ClientOptions."""
    key = jwk.SigningKey(kid=f"{client_id}-1", alg="ES256", private_key=jwk.generate_key("ES256"))
    public = jwk.public_jwk(key.private_key, kid=key.kid, alg="ES256")
    values = {
        "client_id": client_id,
        "legal_name": text(name, "Lingnan Example Bank"),
        "uscc": "91440099MA9T00034R",
        "contact": "400-000-0000",
        "profile": profile,
        "redirect_uris": list(redirect_uris),
        "token_endpoint_auth_method": method,
        "jwks": {"keys": [public]},
        "options": options,
    }
    client = clients.register(values, now, actor_id=None, here=EVERYTHING)
    secret = clients.new_secret(client) if method in clients.SECRET_METHODS else None
    return Party(client=client, key=key, secret=secret)


def purpose(
    now: dt.datetime, client_id: str = "bank", code: str = "loan-review", *, required: Iterable[DataItem] = (),
    optional: Iterable[DataItem] = (), kinds: Sequence[str] = ("natural_person",), **changes: Any,
) -> Purpose:  # fmt: skip
    """An approved purpose over the given items, with all their fields."""
    items = [(i, "required") for i in required] + [(i, "optional") for i in optional]
    values: dict[str, Any] = {
        "text": text("审核本次贷款申请", "Review this loan application"),
        "holder_kinds": list(kinds),
        "mode": "periodic",
        "max_duration_days": 90,
        "default_duration_days": 30,
        "retention": {"text": text("保存 30 天,随后删除", "Kept for 30 days, then deleted"), "days": 30},
        "storage_location": text("中国境内", "Mainland China"),
        "items": [
            {"item": i.item_id, "fields": list(i.field_ids()), "necessity": n, "reason": text("用于审核", "For review")}
            for i, n in items
        ],
        "third_parties": [],
        "automated_decision": "none",
        "approved_at": now,
    }
    row = Purpose(client_id=client_id, code=code, **(values | changes))
    db.session.add(row)
    db.session.flush()
    return row


def ask(row: Purpose, now: dt.datetime, *, scope: tuple[str, ...] = (), **changes: Any) -> Ask:
    """What the purpose asks of a holder, in full."""
    values: dict[str, Any] = {
        "purpose_code": row.code, "items": (), "mode": None, "max_reads": None, "duration_days": None,
        "reference_no": "LN-2026-0001",
    }  # fmt: skip
    return admit(Terms(**(values | changes)), client_id=row.client_id, scope=scope, now=now)


def shown(now: dt.datetime) -> Shown:
    """A page that was shown."""
    return Shown(
        text="岭南示例银行 审核本次贷款申请", language="zh-Hans", requested_at=now, opened_at=now, screens=("first",)
    )


def consent(asked: Ask, by: Actor, now: dt.datetime, *, items: Iterable[str] | None = None) -> Consent:
    """A consent given to all (or the named) items of a request."""
    given = tuple(i.item_id for i in asked.items) if items is None else tuple(items)
    choices = Choices(items=given, duration_days=asked.duration_days)
    return lifecycle.give(asked, choices, by, shown(now), now, registry=registry())


def sign_in_consent(client_id: str, by: Actor, now: dt.datetime) -> Consent:
    """The consent behind a plain sign-in."""
    return consent(sign_in(client_id, ("openid", "profile")), by, now)


@dataclass(frozen=True, kw_only=True)
class World:
    """One person with one record, one bank, one purpose, and the consent between them."""

    person: Holder
    actor: Actor
    item: DataItem
    party: Party
    purpose: Purpose
    consent: Consent


def world(now: dt.datetime, **purpose_changes: Any) -> World:
    """The smallest world in which a read succeeds."""
    person = holder(now)
    degree = item(now)
    record(person, degree, [{"school": "示例大学", "major": "会计", "level": None}], now)
    bank = party(now)
    row = purpose(now, required=[degree], **purpose_changes)
    by = actor(person, now)
    given = consent(ask(row, now), by, now)
    db.session.commit()
    return World(person=person, actor=by, item=degree, party=bank, purpose=row, consent=given)


def entered(count: int, at: dt.datetime | None = None) -> list[Entry]:
    """So many entries that wait for the log of evidence."""
    found = [Entry.new("access", at or clock.now(), number=number) for number in range(count)]
    for entry in found:
        entries.append(entry)
    db.session.commit()
    return found
