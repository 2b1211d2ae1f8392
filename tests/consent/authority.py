"""An authority that reads by law, and the administrators who let it."""

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from consent import power_files, powers
from consent.interventions import Ground, Stated
from consent.powers import Decision, Power
from dataspace.datafiles import Entry
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.mandates import Actor
from tests import factories
from tests.consent.third_party import LEFT_OUT, ThirdParty

GRANTS = ["authorization_code", "client_credentials"]
SECOND_ADMINISTRATOR = "440099193709080042"
REASON = Stated(Ground.AUTHORITY_DECISION, "依法")


def content(**changes: Any) -> dict[str, Any]:
    """A power as a file says it; ``changes`` replace or, as LEFT_OUT, remove members."""
    said = {
        "id": "tax-audit",
        "client": "tax",
        "law": factories.text("中华人民共和国税收征收管理法", "Tax Collection Law"),
        "article": factories.text("第五十四条", "Article 54"),
        "sentence": factories.text("税务机关可以检查纳税人的有关情况", "The tax authority may look into a taxpayer"),
        "purpose": factories.text("核查纳税申报", "Checking a tax return"),
        "objection": factories.text("示例市税务局,电话 12366", "Example tax bureau, telephone 12366"),
        "holder_kinds": ["natural_person"],
        "items": [{"item": "p.edu.degree", "fields": ["school", "level"]}],
        "case_number": "税稽〔####〕#+号",
        "case_limit": 5,
        "day_limit": 8,
        "deferral": {"days": 30, "law": factories.text("第五十八条", "Article 58")},
        "valid_from": "2026-01-01",
        "valid_until": "2029-01-01",
    } | changes
    return {name: value for name, value in said.items() if value is not LEFT_OUT}


def entry(**changes: Any) -> Entry:
    said = content(**changes)
    return Entry("powers.toml", "powers", said["id"], said, sound=True)


def administrators(now: dt.datetime) -> tuple[Actor, Actor]:
    """Two of them."""
    first = factories.administrator(now)
    second = factories.administrator(now, SECOND_ADMINISTRATOR, "第二位管理员")
    return factories.supervisor(first, now), factories.supervisor(second, now)


def approved(admins: tuple[Actor, Actor], now: dt.datetime, **changes: Any) -> Power:
    """A power that one administrator has entered and the other approved; committed."""
    first, second = admins
    (entered,) = power_files.enter([entry(**changes)], now, actor_id=first.person_id, text="依法登记")
    waiting = powers.get(entered.power_id, entered.version)
    decision = Decision(waiting.power_id, waiting.version, second, REASON)
    power = powers.approve(decision, now, expected_digest=waiting.digest)
    db.session.commit()
    return power


@dataclass
class Authority(ThirdParty):
    """A tax bureau: a client that reads data, of the class of authorities."""

    @classmethod
    def registered(cls, http: FlaskClient, now: dt.datetime, client_id: str = "tax", **options: Any) -> "Authority":
        options = {"grant_types": GRANTS} | options
        party = factories.party(now, client_id, name="示例市税务局", **options)
        party.client.client_class = "authority"
        db.session.commit()
        return cls(party, http)

    def demands(self, **changes: Any) -> TestResponse:
        """A token for one case; ``changes`` replace or, as LEFT_OUT, remove members of the demand."""
        return self.asks(self.demand(**changes))

    def demand(self, **changes: Any) -> dict[str, str]:
        """What such a request says."""
        said = {
            "type": "data_space_statutory_access",
            "power": "tax-audit",
            "holder": {"kind": "natural_person", "identifier": factories.PERSON},
            "case_no": "税稽〔2026〕17号",
            "reason": "核查2025年度申报",
        } | changes
        detail = {name: value for name, value in said.items() if value is not LEFT_OUT}
        return {"grant_type": "client_credentials", "authorization_details": json.dumps([detail])}

    def asks(self, form: dict[str, Any], *, proof: Any = None) -> TestResponse:
        """The token endpoint, with whatever stands in the form."""
        return self.post("/oauth/token", {"grant_type": "client_credentials", **form}, proof=proof)

    def token_for_case(self, **changes: Any) -> str:
        answer = self.demands(**changes)
        assert answer.status_code == 200, answer.json
        return str(answer.json["access_token"])


@dataclass
class Bureau:
    """A person with a record, an authority with a power, and two administrators."""

    person: Holder
    tax: Authority
    power: Power
    admins: tuple[Actor, Actor]

    @classmethod
    def opened(cls, http: FlaskClient, now: dt.datetime, **changes: Any) -> "Bureau":
        person = factories.holder(now)
        degree = factories.item(now)
        factories.record(person, degree, [{"school": "示例大学", "major": "会计", "level": "本科"}], now)
        admins = administrators(now)
        tax = Authority.registered(http, now)
        return cls(person, tax, approved(admins, now, **changes), admins)

    def decision(self, version: int = 1) -> Decision:
        return Decision(self.power.power_id, version, self.admins[0], REASON)
