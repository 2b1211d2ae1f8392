"""What people of the tour have behind them: authorizations in every state, open requests, cases; and where to look."""

from sqlalchemy import select

from consent import asks, cases, clients, endings, pauses, receipts
from consent.asks import Ask
from consent.cases import About, CaseKind, Outcome
from consent.interventions import Ground
from consent.oauth import par
from dataspace import accesses, passkeys, spaces
from dataspace.accesses import Access, Wanted
from dataspace.catalogue import DataItem
from dataspace.db import db
from dataspace.web.shell import services
from tools import certificates
from tools.stage import SignedIn, Stage
from tools.tour import Stop, sends, tampered

LOGIN_CLIENT = "example-app"
READ = (0, 5, 30, 40)  # hours ago


def of_a_holder(stage: Stage, me: SignedIn, code: str) -> dict[str, Stop]:
    """The pages that every holder has, with authorizations in every state."""
    given = stage.ask("lingnan-bank", code)
    consent = stage.give(given, me.actor, days_ago=2)
    made = certificates.made(stage, me, consent)
    for hours in READ[: given.max_reads]:
        stage.read(consent, given, hours_ago=hours)
    stage.read(consent, given, hours_ago=1, refused="quota_exhausted")
    db.session.flush()
    read = accesses.log_of(me.actor.space_id, Wanted(outcome="answered")).rows[0]
    receipt = receipts.of_consent(consent.consent_id)[0]
    signed = receipts.signed(receipt, vault=services().vault).file.decode()
    item = spaces.holdings(me.actor.space_id, vault=services().vault)[0].item.item_id
    return certificates.stops(stage, me, made) | {
        "home": Stop("/"), "data": Stop("/data"), "item": Stop(f"/data/{item}"),
        "authorizations": Stop("/authorizations"), "authorizations-waiting": Stop("/authorizations?tab=waiting"),
        "authorizations-ended": Stop("/authorizations?tab=ended"),
        "authorization": Stop(f"/authorizations/{consent.consent_id}"),
        "evidence-package": Stop(f"/authorizations/{consent.consent_id}/evidence"),
        "receipt": Stop(f"/receipts/{receipt.receipt_id}"),
        "receipt-genuine": Stop("/check", sends("/check", pasted=signed)),
        "receipt-changed": Stop("/check", sends("/check", pasted=signed.replace("2026", "2025"))),
        "stop-everything": Stop("/stop-authorizations"),
        "stop-all-of-one": Stop("/stop-authorizations?client=lingnan-bank"),
        "origins": Stop(f"/reads/{read.access_id}"), "version": Stop(f"/versions/{(read.record_ids or [''])[0]}"),
        "reads": Stop("/reads"), "messages": Stop("/messages"),
    }  # fmt: skip


def of_a_person(me: SignedIn) -> dict[str, Stop]:
    """The pages that look the same whoever comes by."""
    passkey = passkeys.passkeys_of(me.actor.person_id)[0].passkey_id
    return {
        "message-choices": Stop("/messages/choices"), "mail-address": Stop("/messages/address"),
        "copies": Stop("/archive"), "erasure": Stop("/erasure"), "passkeys": Stop("/passkeys"),
        "add-passkey": Stop("/passkeys/add"), "remove-passkey": Stop(f"/passkeys/{passkey}/remove"),
        "counter-code": Stop("/device"), "cases": Stop("/cases"),
        "new-case": Stop("/cases/new?kind=explanation"),
        "forbidden": Stop("/admin"),
    }  # fmt: skip


def asked_of_a_person(stage: Stage, me: SignedIn) -> dict[str, Stop]:
    """The consent page in all its states."""
    loan, abroad = stage.ask("lingnan-bank", "housing-loan"), stage.ask("macau-bank", "hengqin-account")
    first = stage.asked(loan)
    stops = {"asked-first": Stop(first)}
    for item in loan.sensitive_items[:1]:
        stops["asked-item"] = Stop(f"{first}/item/{item.item_id}")
    stops |= {
        "asked-last": Stop(f"{stage.asked(loan, answered_by=me.actor)}/confirm"),
        "asked-changed": Stop(f"{stage.asked(loan, answered_by=me.actor)}/confirm?changed"),
        "asked-abroad": Stop(f"{stage.asked(abroad)}/cross-border"),
        "asked-abroad-first": Stop(stage.asked(abroad)),
        "asked-abroad-last": Stop(f"{stage.asked(abroad, answered_by=me.actor)}/confirm"),
        "asked-to-view": Stop(stage.asked(stage.ask("peoples-hospital", "cross-hospital-visit"))),
        "asked-too-late": Stop("/consent/req_none"),
        "asked-for-an-answer": Stop(stage.asked(stage.ask("anju-rental", "tenant-check"))),
        "asked-by-somebody-else": Stop(stage.asked(stage.ask("lingnan-bank", "working-capital-loan"))),
        "asked-in-another-tab": Stop(stage.asked(loan), tampered("acting", "button[value=agree]")),
        "form-expired": Stop(stage.asked(loan), tampered("csrf_token", "button[value=agree]")),
        "asked-to-sign-in-there": Stop(stage.asked(asks.sign_in(LOGIN_CLIENT, ("openid", "profile")))),
        "at-a-counter": Stop(f"/device?user_code={stage.at_a_counter(loan)}"),
        "asked-elsewhere-another": Stop(stage.waits_for(loan, "hld_of_somebody_else", opened=True)),
        "at-a-counter-unknown": Stop("/device?user_code=BCDF-GHJK"),
        "sign-out": Stop(f"/oauth/logout?client_id={LOGIN_CLIENT}"),
    }
    stage.waits_for(loan, me.actor.holder_id)
    stops["asked-elsewhere"] = Stop("/requests")
    refused = stage.ask("lingnan-bank", "card-limit-review")
    stage.refuse(refused, me.actor)
    stops["asked-again"] = Stop(stage.asked(refused))
    stops["decided"] = Stop(_decided(stage, me, loan))
    return stops | _what_changes(stage, me)


def _decided(stage: Stage, me: SignedIn, ask: Ask) -> str:
    """Given, and the answer has got lost on the way to the third party."""
    path, consent = stage.asked(ask), stage.give(ask, me.actor)
    par.finish(stage.request(path), stage.now, consent_id=consent.consent_id)
    return path


def _what_changes(stage: Stage, me: SignedIn) -> dict[str, Stop]:
    """A third party is suspended, an item becomes sensitive: what is open or given then."""
    daily, check = stage.ask("yuexing-mobility", "driver-check"), stage.ask("suicai-recruit", "background-check")
    rental = stage.ask("anju-rental", "tenant-check")
    living = stage.give(daily, me.actor, days_ago=3)
    outdated, stopped = stage.asked(daily), stage.asked(check)
    paused, ended = stage.give(rental, me.actor, days_ago=1), stage.give(rental, me.actor, days_ago=4)
    pauses.pause(paused.consent_id, me.actor, stage.now, registry=stage.registry)
    endings.withdraw(ended.consent_id, me.actor, stage.now, ask_deletion=True, registry=stage.registry)
    revoked, desk = stage.give(rental, me.actor, days_ago=5), stage.sign_in("lin-jing", acting_for="administrator")
    endings.revoke(
        revoked.consent_id, desk.actor, stage.now, reason_code=Ground.CLIENT_MISUSE, text="投诉查实",
        registry=stage.registry,
    )  # fmt: skip
    suspended = {"actor_id": None, "reason_code": Ground.CLIENT_MISUSE, "text": "投诉核查中"}
    clients.suspend("suicai-recruit", stage.now, **suspended)  # type: ignore[arg-type]
    _regrade("p.traffic.licence")
    return {
        "asked-daily": Stop(stage.asked(stage.ask("yuexing-mobility", "driver-check"))),
        "authorization-waiting-again": Stop(f"/authorizations/{living.consent_id}"),
        "decide-again": Stop(f"/authorizations/{living.consent_id}/decide-again"),
        "authorization-paused": Stop(f"/authorizations/{paused.consent_id}"),
        "authorization-ended": Stop(f"/authorizations/{ended.consent_id}"),
        "authorization-revoked": Stop(f"/authorizations/{revoked.consent_id}"), "asked-outdated": Stop(outdated),
        "asked-by-the-suspended": Stop(stopped),
    }  # fmt: skip


def _regrade(item_id: str) -> None:
    """The catalogue says anew that an item is sensitive."""
    old = db.session.get_one(DataItem, (item_id, 1))
    columns = {column.name: getattr(old, column.name) for column in DataItem.__table__.columns}
    impact = {
        "zh_hans": "可能影响您的出行和工作。",
        "zh_hant": "可能影響您的出行和工作。",
        "en": "May affect work.",
    }
    db.session.add(DataItem(**columns | {"version": 2, "sensitive": True, "impact": impact, "digest": "2" * 64}))
    db.session.flush()


def cases_of(stage: Stage, me: SignedIn) -> dict[str, Stop]:
    line = db.session.scalars(select(Access).filter_by(space_id=me.actor.space_id).order_by(Access.at)).first()
    about = About(access_id=line.access_id if line else None)
    text = "我没有同意过这次读取，请核查。"
    vault = services().vault
    opened = cases.open_case(CaseKind.COMPLAINT, about, text, me.actor, stage.now, vault=vault)
    answered = cases.open_case(CaseKind.CORRECTION, About(), text, me.actor, stage.now, vault=vault)
    desk = stage.sign_in("lin-jing", acting_for="administrator")
    cases.answer(answered.case_id, Outcome.INFORMED, "已经核对，来源机关会更正。", desk.actor, stage.now, vault=vault)
    return {
        "case": Stop(f"/cases/{opened.case_id}"), "case-answered": Stop(f"/cases/{answered.case_id}"),
        "complaint": Stop(f"/cases/new?kind=complaint&line={about.access_id}"),
        "complaint-empty": Stop("/cases/new?kind=explanation", sends("/cases", text=" ")),
    }  # fmt: skip
