"""The people of the tour, each with a browser: what they have done before, and where they stop to look."""

from collections.abc import Iterator
from dataclasses import asdict, replace

from sqlalchemy import select

from consent import (
    announcements,
    archives,
    clients,
    data_certificates,
    deaths,
    erasures,
    lifecycle,
    record_erasures,
)
from consent.announcements import Announcement
from consent.cases import Case
from consent.clients import Profile
from consent.data_certificates import DataCertificate, Step
from consent.installation import EVERYTHING
from consent.interventions import Ground, Stated
from consent.oauth import answers, initial_access, par
from consent.records import Consent, State
from consent.web.way_back import Told
from dataspace import by_law, passkeys
from dataspace.accesses import Access
from dataspace.db import db
from dataspace.passkeys import Passkey
from dataspace.sources import registry
from dataspace.sources.incoming import from_document
from dataspace.sources.receiving import Reception
from dataspace.spaces import Record
from dataspace.web.shell import services
from tools import law
from tools.demonstration import DATA
from tools.histories import LOGIN_CLIENT, asked_of_a_person, cases_of, of_a_holder, of_a_person
from tools.stage import Stage
from tools.tour import Stop, Visitor, sends


def visitors(stage: Stage) -> Iterator[Visitor]:
    """Everybody, each with what makes pages worth looking at done before."""
    _third_parties(stage)
    yield _nobody(stage)
    yield _citizen(stage)
    yield _newcomer(stage)
    yield _guardian(stage)
    yield from _company(stage)
    yield _administrator(stage)


def _third_parties(stage: Stage) -> None:
    """One that signs people in, and one that hears of changes and does not take them."""
    values = {
        "client_id": LOGIN_CLIENT,
        "legal_name": {"zh_hans": "示例办事大厅", "zh_hant": "示例辦事大廳", "en": "Example Hall"},
        "uscc": "11440099009900080U", "contact": "service@hall.example", "profile": Profile.LOGIN,
        "redirect_uris": ["https://hall.example/callback"], "token_endpoint_auth_method": "none", "options": {},
    }  # fmt: skip
    clients.register(values, stage.now, actor_id=None, here=EVERYTHING)
    clients.get("lingnan-bank").options = {"consent_events_delivery": "poll"}
    db.session.commit()


# Nobody in particular


def _nobody(stage: Stage) -> Visitor:
    code = passkeys.issue_enrolment_code(stage.holder("wang-ziqing"), stage.now)
    db.session.commit()
    return Visitor("nobody", None, {
        "welcome": Stop("/"),
        "sign-in": Stop("/signin"),
        "asked-to-sign-in": Stop("/signin?next=/authorizations"),
        "enrol": Stop("/enrol"),
        "enrol-wrong-code": Stop("/enrol", sends("/enrol", code="ABCD-1234-EFGH-5678")),
        "enrol-create": Stop("/enrol", sends("/enrol", code=code)),
        "explanation": Stop("/explanation"), "transparency": Stop("/transparency"),
        "check-a-receipt": Stop("/check"),
        "check-a-receipt-unreadable": Stop("/check", sends("/check", pasted="no receipt")),
        "signed-out": Stop("/signed-out"),
        "bad-request": Stop("/authorize?client_id=nobody"),
        "bad-sign-out": Stop("/oauth/logout?client_id=nobody"),
        "not-found": Stop("/no-such-page"),
    })  # fmt: skip


# A person with a long history


def _citizen(stage: Stage) -> Visitor:
    key = "chen-jiayi"
    passkey = Passkey(
        passkey_id="pky_stage", person_id=stage.holders[key], credential_id=b"stage", public_key=b"", sign_count=0,
        transports=["internal"], aaguid="", device_type="multi_device", backed_up=True, name="我的手机",
        created_at=stage.now, last_used_at=stage.now,
    )  # fmt: skip
    db.session.add(passkey)
    me = stage.sign_in(key, passkey_id=passkey.passkey_id)
    stops = of_a_holder(stage, me, "housing-loan") | of_a_person(me)
    stops |= asked_of_a_person(stage, me)
    stops |= cases_of(stage, me)
    archives.ask(me.actor, "zh_Hans", stage.now)
    erasures.ask(me.actor, stage.now)
    case = by_law.find_case(law.POWER, me.actor.space_id, law.DEMAND.case_no)
    assert case is not None  # noqa: S101 - every demonstration begins with it
    stops["by-law"] = Stop(f"/by-law/{case.case_id}")
    db.session.commit()
    return Visitor("citizen", stage.cookie(me), stops)


def _newcomer(stage: Stage) -> Visitor:
    """Somebody with an empty history, who comes back from the consent page."""
    me = stage.sign_in("liang-zhiwen")
    path = stage.asked(stage.ask("lingnan-bank", "card-limit-review"))
    row = stage.request(path)
    answer = answers.with_error(row, "access_denied", "Refused.", stage.now, registry=stage.registry)
    told = Told(handle=row.handle, outcome="given", party="岭南示例银行股份有限公司")
    cookie = stage.cookie(me, answer={"told": asdict(told), "answer": answer.to_document()})
    login = f"/authorize?client_id={LOGIN_CLIENT}&response_type=code&scope=openid&prompt=none&response_mode=form_post"
    login += f"&code_challenge={'c' * 43}&code_challenge_method=S256&redirect_uri=https%3A%2F%2Fhall.example%2Fcallback"
    db.session.commit()
    return Visitor("newcomer", cookie, {
        "home": Stop("/"), "authorizations": Stop("/authorizations"), "reads": Stop("/reads"),
        "messages": Stop("/messages"), "cases": Stop("/cases"), "copies": Stop("/archive"), "erasure": Stop("/erasure"),
        "no-company": Stop("/m/business"), "given": Stop(f"{path}/done"), "sent-back": Stop(login),
    })  # fmt: skip


def _guardian(stage: Stage) -> Visitor:
    me = stage.sign_in("huang-jianming", acting_for="huang-zixuan")
    school = stage.ask("education-bureau", "school-admission").of_child()
    first = stage.asked(school)
    consent = stage.give(school, me.actor, days_ago=1)
    db.session.commit()
    return Visitor("guardian", stage.cookie(me), {
        "home": Stop("/"), "act-as": Stop("/act-as"), "asked-first": Stop(first),
        "asked-item": Stop(f"{first}/item/{school.items[0].item_id}"),
        "asked-last": Stop(f"{stage.asked(school, answered_by=me.actor)}/confirm"),
        "authorization": Stop(f"/authorizations/{consent.consent_id}"),
    })  # fmt: skip


# A company, and who watches


def _company(stage: Stage) -> Iterator[Visitor]:
    """Who prepares, who approves."""
    preparer = stage.sign_in("zhou-min", acting_for="yuehai-pearl")
    approver = stage.sign_in("li-weiqiang", acting_for="yuehai-pearl")
    loan, abroad = stage.ask("lingnan-bank", "working-capital-loan"), stage.ask("hongkong-bank", "verify-company-data")
    waits = stage.asked(loan)
    consent = stage.give(loan, preparer.actor)
    par.wait_for_approval(stage.request(waits), consent.consent_id, stage.now)
    approved, given = stage.asked(loan), stage.give(loan, preparer.actor)
    par.wait_for_approval(stage.request(approved), given.consent_id, stage.now)
    lifecycle.approve(given.consent_id, approver.actor, stage.now, registry=stage.registry)
    first, verify = stage.asked(loan), stage.asked(abroad)
    db.session.commit()
    yield Visitor("business-preparer", stage.cookie(preparer), {
        "home": Stop("/"), "asked-first": Stop(first), "prepared": Stop(f"{waits}/waiting"),
        "approved": Stop(f"{approved}/waiting"),
        "authorizations-waiting": Stop("/authorizations?tab=waiting"),
        "authorization-waiting": Stop(f"/authorizations/{consent.consent_id}"),
    })  # fmt: skip
    stops = of_a_holder(stage, approver, "working-capital-loan")
    db.session.commit()
    yield Visitor("business", stage.cookie(approver), stops | {
        "approve": Stop(f"/authorizations/{consent.consent_id}/approve"),
        "act-as": Stop("/act-as"), "door-of-a-person": Stop("/m/citizen"),
        "asked-to-verify": Stop(verify), "asked-abroad": Stop(f"{verify}/cross-border"),
    })  # fmt: skip


def _sources(stage: Stage) -> None:
    """One that is heard, one that is silent, and a record of each kind."""
    registry.load([DATA / "sources.toml"], stage.now)
    reception = Reception.of(
        registry.get("population"),
        stage.now,
        vault=services().vault,
        index=services().index,
        demanded=services().demanded,
    )
    wrong = {
        "identifier": "440099199003150027",
        "item": "p.identity.basic",
        "as_of": "2026-01-01T00:00:00Z",
        "rows": [],
    }
    reception.take([from_document(1, wrong), from_document(2, wrong | {"item": "p.tax.income"})], stage.now)
    registry.heard("population", stage.now)
    registry.failed("geography", stage.now, "127.0.0.1: ConnectError")
    db.session.commit()


def _stepped_in(stage: Stage, actor_id: str) -> tuple[str, str, str]:
    """A certificate that is frozen here, the record that it is made from, and one that is deleted: their numbers."""
    vault, reason = stage.registry.vault, Stated(Ground.FRAUD, "查实冒用")
    certificate = db.session.scalars(select(DataCertificate).order_by(DataCertificate.issued_at)).all()[0]
    data_certificates.step_in(
        certificate.certificate_id, Step.FROZEN, reason, stage.now, actor_id=actor_id, vault=vault
    )
    mine = select(Record.record_id).filter_by(space_id=stage.holder("he-meiling").space_id)
    erased = db.session.scalars(mine.order_by(Record.item_id)).all()[0]
    why = Stated(Ground.AUTHORITY_DECISION, "示例法院 2026-17 号文书")
    record_erasures.erase(erased, why, stage.now, actor_id=actor_id, vault=vault)
    return certificate.certificate_id, certificate.record_id or "", erased


def _administrator(stage: Stage) -> Visitor:
    me = stage.sign_in("lin-jing", acting_for="administrator")
    initial_access.issue(Profile.LOGIN, stage.now, actor_id=me.actor.person_id, note="示例办事大厅")
    deaths.record(stage.holder("he-meiling"), "死亡证明 2026-001", me.actor, stage.now, registry=stage.registry)
    lost = db.session.scalars(select(Announcement.jti).filter_by(client_id="lingnan-bank")).all()
    announcements.turn_down("lingnan-bank", dict.fromkeys(lost[:3], "HTTP 503"))
    consent = db.session.scalars(
        select(Consent).filter_by(client_id="lingnan-bank", state=State.ACTIVE).order_by(Consent.consent_id)
    ).first()
    case = db.session.scalars(select(Case).order_by(Case.opened_at)).first()
    db.session.commit()
    read = db.session.scalars(
        select(Access.delivery_id).where(Access.delivery_id.is_not(None)).order_by(Access.access_id)
    ).first()
    _sources(stage)
    certificate, record, erased = _stepped_in(stage, me.actor.person_id)
    law.read(replace(law.DEMAND, case_no="示税稽〔2026〕18号", defer_days=30), "tax-bureau", stage.now,
             registry=stage.registry)  # fmt: skip
    db.session.commit()
    assert consent is not None and case is not None  # noqa: S101, PT018 - the citizen was here before
    rules = (DATA / "rules.toml").read_text("utf-8").replace("life_days = ", "life_days = 1 # ")
    client, other = "/admin/clients/lingnan-bank", "/admin/clients/suicai-recruit"
    return Visitor("administrator", stage.cookie(me), {
        "admin": Stop("/admin"), "consent": Stop(f"/admin/consents/{consent.consent_id}"),
        "consent-no-reason": Stop(f"/admin/consents/{consent.consent_id}",
                                  sends(f"/admin/consents/{consent.consent_id}/revoke")),
        "certificates": Stop("/admin/certificates"), "certificate": Stop(f"/admin/certificates/{certificate}"),
        "record": Stop(f"/admin/records/{record}"), "record-deleted": Stop(f"/admin/records/{erased}"),
        "record-refused": Stop(f"/admin/records/{record}",
                               sends(f"/admin/records/{record}", ground="other", text="更正", number="rec_")),
        "clients": Stop("/admin/clients"), "client": Stop(client), "client-suspended": Stop(other),
        "client-edit": Stop(f"{client}/edit"),
        "client-edit-wrong": Stop(f"{client}/edit", sends(f"{client}/edit", contact="")),
        "client-options": Stop(f"{client}/options"), "register": Stop("/admin/register-client"),
        "register-wrong": Stop("/admin/register-client", sends("/admin/register-client", client_id="x y")),
        "activity": Stop("/admin/activity"), "operation": Stop("/admin/operation"),
        "keys": Stop("/admin/keys"), "undelivered": Stop("/admin/undelivered"),
        "lost-mail": Stop("/admin/undelivered/mail"),
        "invitations": Stop("/admin/invitations"), "cases": Stop("/admin/cases"),
        "case": Stop(f"/admin/cases/{case.case_id}"),
        "rules": Stop("/admin/rules"),
        "rules-preview": Stop("/admin/rules", sends("/admin/rules/preview", rules=rules)),
        "rules-refused": Stop("/admin/rules", sends("/admin/rules/preview", rules="x = 1")),
        "powers": Stop("/admin/powers"), "power": Stop(f"/admin/powers/{law.POWER}/1"),
        "powers-refused": Stop("/admin/powers", sends("/admin/powers", powers="x = 1", text="")),
        "sources": Stop("/admin/sources"), "source": Stop("/admin/sources/population"),
        "delivery": Stop(f"/admin/deliveries?number={read}"),
        "erasures": Stop("/admin/erasures"), "deaths": Stop("/admin/deaths"), "act-as": Stop("/act-as"),
        "not-for-administrators": Stop("/data"),
    })  # fmt: skip
