"""Certificates of people of the tour: made, shown, opened, stopped; and where to look at them."""

import datetime as dt

from consent import certificate_issue, data_certificates, presentations
from consent.certificate_issue import DATA
from consent.data_certificates import By, DataCertificate, Step
from consent.records import Consent
from dataspace.db import db
from dataspace.mandates import Actor
from tools.stage import BROWSER, SignedIn, Stage
from tools.tour import Stop, sends

AGO = dt.timedelta(days=1)


def made(stage: Stage, me: SignedIn, consent: Consent) -> list[DataCertificate]:
    """Three certificates, while the consent is active."""
    item_id = certificate_issue.certifiable(consent.consent_id)[0].item_id
    then, registry = stage.now - AGO, stage.registry
    return [
        certificate_issue.for_holder(consent.consent_id, item_id, me.actor, then, registry=registry).certificate
        for _n in range(3)
    ]


def stops(stage: Stage, me: SignedIn, certificates: list[DataCertificate]) -> dict[str, Stop]:
    """One that is shown to somebody, one that was revoked, and one whose data was corrected."""
    shown, stopped, wrong = certificates
    number, revoked, vault = shown.certificate_id, stopped.certificate_id, stage.registry.vault
    waits, opened, over = (_link(stage, number, shown.field_ids, me.actor) for _n in range(3))
    for secret, browser in ((opened, BROWSER), (over, "another")):
        presentations.open_link(presentations.find(secret), browser=browser, now=stage.now, vault=vault)
    data_certificates.append(revoked, Step.REVOKED, stage.now, by=By.HOLDER, actor_id=me.actor.person_id, vault=vault)
    data_certificates.append(wrong.certificate_id, Step.SUPERSEDED, stage.now, by=By.SOURCE, vault=vault)
    db.session.commit()
    text = _text(shown, stage)
    return {
        "certificates": Stop("/certificates"),
        "certificates-none": Stop("/certificates?q=nothing"),
        "certificate": Stop(f"/certificates/{number}"),
        "certificate-revoked": Stop(f"/certificates/{revoked}"),
        "certificate-superseded": Stop(f"/certificates/{wrong.certificate_id}"),
        "certificate-new": Stop(f"/authorizations/{shown.consent_id}/certificates"),
        "certificate-link": Stop(f"/certificates/{number}/links/{waits}"),
        "certificate-closed": Stop(f"/presented/{waits}"),
        "certificate-shown": Stop(f"/presented/{opened}"),
        "certificate-over": Stop(f"/presented/{over}"),
        "certificate-genuine": Stop("/check", sends("/check", pasted=text)),
        "certificate-stopped": Stop("/check", sends("/check", pasted=_text(stopped, stage))),
        "certificate-changed": Stop("/check", sends("/check", pasted=f"{text}{text.split('~')[1]}~")),
    }


def _text(certificate: DataCertificate, stage: Stage) -> str:
    """What somebody was shown of it."""
    chosen = {DATA: certificate.field_ids[:2], "about": ["subject", "purpose"]}
    return data_certificates.content(certificate, vault=stage.registry.vault).show(chosen)


def _link(stage: Stage, number: str, fields: list[str], actor: Actor) -> str:
    return presentations.present(
        number, "示例律师事务所", {DATA: fields[:2], "about": ["subject"]}, dt.timedelta(days=1), actor, stage.now,
        purpose="签署租约", vault=stage.registry.vault,
    )  # fmt: skip
