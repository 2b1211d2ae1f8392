"""Certificates in their holder's hands, and in those of whoever is shown one: journeys through the pages."""

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa
import verify_inclusion
from flask import Flask
from flask.testing import FlaskClient

from consent import certificate_issue, data_certificates, endings, evidence, presentations, worker
from consent.data_certificates import By, Step
from dataspace import clock
from dataspace.accesses import Access
from dataspace.db import db
from dataspace.mandates import Actor, Capacity
from tests import factories
from tests.consent import certificate_reader as reader
from tests.consent.certificate_holder import Holder, make_holder
from tests.consent.visitor import Visitor

PATH = "/certificates"


@pytest.fixture
def holder(app: Flask) -> Holder:
    return make_holder(app)


@pytest.fixture
def receiver(app: Flask) -> Visitor:
    return Visitor(app.test_client())


def row(visitor: Visitor, text: str) -> bool:
    return text in visitor.page.says


def test_made_shown_checked_and_frozen_with_the_authorization(
    holder: Holder, receiver: Visitor, client: FlaskClient
) -> None:
    made = holder.makes()
    assert row(holder, "Nobody has it yet")
    path = holder.links("data.school", "about.subject")
    first = receiver.get(path)
    assert "示例律师事务所" in first.says
    assert "示例大学" not in first.says
    assert holder.get(f"{PATH}/{made.certificate_id}").says.count("Used") == 0  # looking ahead opens nothing
    shown = receiver.tap("Open it")
    assert shown.status == 200
    assert "valid at this moment" in shown.says
    assert "示例大学" in shown.says
    assert "陈嘉怡" in shown.says
    assert "会计" not in shown.html
    assert "1 more field is not shown to you." in shown.says
    file = receiver.send("GET", receiver.page.link("Save the file")).text
    said = reader.read(client, file)
    assert (said["data"], said["about"]) == ({"school": "示例大学"}, {"subject": "陈嘉怡"})
    assert "cnf" not in said
    assert reader.status_of(client, said) == reader.VALID
    again = receiver.get(path)  # the same browser, for a while
    assert "示例大学" in again.says
    other = holder.makes("p.energy.home")
    endings.withdraw(holder.consent_id, holder.bank.holder, clock.now(), registry=factories.registry())
    db.session.commit()
    assert "Frozen with the authorization" in holder.get(f"{PATH}/{other.certificate_id}").says
    assert "Valid" in holder.get(f"{PATH}/{made.certificate_id}").says  # it was used
    assert reader.status_of(client, said) == reader.VALID


def test_a_link_opens_once_and_for_one_browser(holder: Holder, receiver: Visitor, app: Flask) -> None:
    holder.makes()
    path = holder.links()
    receiver.get(path)
    receiver.tap("Open it")
    stranger = Visitor(app.test_client())
    late = stranger.get(path)
    assert (late.status, "示例大学" in late.html) == (410, False)
    assert stranger.send("GET", f"{path}/certificate.sd-jwt").status_code == 410
    assert holder.newest.uses == 1
    assert stranger.get("/presented/guessed").status == 404


def test_two_who_open_at_once_use_it_once(holder: Holder, receiver: Visitor, app: Flask) -> None:
    holder.makes()
    path = holder.links()
    stranger = Visitor(app.test_client())
    receiver.get(path)
    stranger.get(path)
    assert receiver.tap("Open it").status == 200
    assert stranger.tap("Open it").status == 410
    assert holder.newest.uses == 1


def test_the_whole_life_is_on_its_page_and_in_the_log_of_reads(holder: Holder, receiver: Visitor) -> None:
    made = holder.makes()
    receiver.get(holder.links("data.school", purpose="签署租约"))
    assert "Only for 示例律师事务所, and only for this: 签署租约" in receiver.tap("Open it").says
    page = holder.get(f"{PATH}/{made.certificate_id}")
    for text in ("Made and signed", "Stored in the space", "A link was made", "Used", "for 示例律师事务所",
                 "Only for this purpose: 签署租约",
                 "Shown: Field school"):  # fmt: skip
        assert text in page.says
    (line,) = db.session.scalars(sa.select(Access).where(Access.action == "show"))
    assert (line.recipient, line.read_no, line.record_ids) == ("示例律师事务所", None, [made.record_id])
    log = holder.get("/reads").says
    assert "示例律师事务所" in log
    assert "Certificate shown" in log
    assert "A certificate was used" in holder.get("/messages").says
    assert "Reads in 30 days 0" in holder.get(f"/authorizations/{made.consent_id}").says


def test_freezing_thawing_revoking(holder: Holder, receiver: Visitor, client: FlaskClient) -> None:
    made = holder.makes()
    path = holder.links()
    claims = data_certificates.content(made, vault=factories.registry().vault).unverified
    holder.get(f"{PATH}/{made.certificate_id}")
    holder.tap("Freeze it")
    assert row(holder, "Frozen. Whoever checks it is told not to rely on it.")
    assert not holder.page.offers("Make the link")
    assert reader.status_of(client, claims) == reader.SUSPENDED
    receiver.get(path)
    assert receiver.tap("Open it").status == 409
    assert "do not rely on it" in receiver.page.says
    holder.tap("Let it be used again")
    assert reader.status_of(client, claims) == reader.VALID
    receiver.get(path)
    assert receiver.tap("Open it").status == 200
    holder.get(f"{PATH}/{made.certificate_id}")
    holder.tap("Revoke it for good")
    assert reader.status_of(client, claims) == reader.INVALID
    assert "Do not rely on it" in receiver.get(path).says
    assert "示例大学" not in receiver.page.html
    assert receiver.send("GET", f"{path}/certificate.sd-jwt").status_code == 409
    assert not holder.page.offers("Revoke it for good")


def test_a_link_is_taken_back(holder: Holder, receiver: Visitor) -> None:
    made = holder.makes()
    path = holder.links()
    holder.tap("Take it back")
    assert row(holder, "A link was taken back")
    assert receiver.get(path).status == 410
    assert holder.newest.uses == 0
    assert holder.get(f"{PATH}/{made.certificate_id}/links/{path.rpartition('/')[2]}").says.count("was opened") == 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"show": []}, "choose at least one field"),
        ({"show": ["about.subject"]}, "choose at least one field"),
        ({"show": ["data.none", "none.school", "x"]}, "choose at least one field"),
        ({"receiver": " "}, "choose at least one field"),
        ({"receiver": "x" * 81}, "choose at least one field"),
        ({"life": "100y"}, "Choose for how long"),
    ],
)
def test_what_a_link_needs(changes: dict[str, Any], sentence: str, holder: Holder) -> None:
    holder.makes()
    page = holder.tap("Make the link", **({"receiver": "A", "show": ["data.school"], "life": "1h"} | changes))
    assert page.status == 400
    assert sentence in page.says
    assert db.session.scalar(sa.select(sa.func.count()).select_from(presentations.Presentation)) == 0


def test_ten_links_wait_at_most(holder: Holder) -> None:
    made = holder.makes()
    for _n in range(presentations.MAX_WAITING):
        holder.links()
        holder.get(f"{PATH}/{made.certificate_id}")
    page = holder.tap("Make the link", receiver="A", show=["data.school"], life="1h")
    assert (page.status, "Take one back first" in page.says) == (409, True)


def test_a_link_ends_with_its_time(holder: Holder, receiver: Visitor) -> None:
    holder.makes()
    path = holder.links()
    db.session.execute(sa.update(presentations.Presentation).values(expires_at=clock.now()))
    db.session.commit()
    assert receiver.get(path).status == 410


def test_the_register_is_empty_then_searched_then_paged(holder: Holder) -> None:
    assert "There is no certificate yet" in holder.get(PATH).says
    vault, consent = factories.registry().vault, holder.bank.consent
    for number in range(12):
        item = "p.energy.home" if number % 3 == 0 else "p.edu.degree"
        made = certificate_issue.for_holder(
            consent.consent_id, item, holder.bank.holder, clock.now(), registry=factories.registry()
        )
    data_certificates.append(made.certificate.certificate_id, Step.REVOKED, clock.now(), by=By.HOLDER, vault=vault)
    db.session.commit()
    page = holder.get(PATH)
    assert page.says.count("Item p.energy.home") == 4
    assert "Revoked for good" in page.says
    assert "Item p.edu.degree" not in holder.get(f"{PATH}?q=energy").says
    assert "Nothing found" in holder.get(f"{PATH}?q=nothing").says
    assert "Item p.edu.degree" in holder.get(f"{PATH}?q=%E5%B2%AD%E5%8D%97").says  # the third party


def test_what_is_anothers_is_not_there(holder: Holder, app: Flask) -> None:
    made = holder.makes()
    path = holder.links()
    person = factories.holder(clock.now(), factories.OTHER_PERSON, "梁志文")
    db.session.commit()
    other = Visitor(app.test_client()).sign_in(person, clock.now())
    secret = path.rpartition("/")[2]
    for address in (
        f"{PATH}/{made.certificate_id}",
        f"{PATH}/{made.certificate_id}/certificate.sd-jwt",
        f"{PATH}/{made.certificate_id}/links/{secret}",
        f"/authorizations/{made.consent_id}/certificates",
    ):
        assert other.get(address).status == 404
    assert "There is no certificate yet" in other.get(PATH).says


def test_an_agent_of_a_company_lets_nothing_leave(holder: Holder) -> None:
    made = holder.makes()
    agent = Actor(**(vars(holder.bank.holder) | {"capacity": Capacity.AGENT}))
    now, registry = clock.now(), factories.registry()
    for attempt in (
        lambda: certificate_issue.for_holder(made.consent_id, made.item_id, agent, now, registry=registry),
        lambda: presentations.present(
            made.certificate_id, "A", {"data": ["school"]}, dt.timedelta(hours=1), agent, now, vault=registry.vault
        ),
    ):
        with pytest.raises(factories.lifecycle.NotAllowed):
            attempt()


def test_nothing_is_made_from_what_rests(holder: Holder) -> None:
    holder.get(f"/authorizations/{holder.consent_id}/certificates")
    consent_id = holder.consent_id
    endings.withdraw(consent_id, holder.bank.holder, clock.now(), registry=factories.registry())
    db.session.commit()
    assert holder.tap("Item p.edu.degree · Example authority").status == 409
    assert "not active" in holder.get(f"/authorizations/{consent_id}/certificates").says


def test_time_ends_it_and_its_content_goes_a_year_later(holder: Holder) -> None:
    made = holder.makes()
    end = made.expires_at
    registry = factories.registry()
    assert worker.run_once(end, registry=registry)["ended_certificates"] == 1
    assert holder.newest.stage == "expired"
    later = end + data_certificates.CONTENT_KEPT
    assert worker.run_once(later - dt.timedelta(seconds=1), registry=registry)["certificate_contents"] == 0
    assert worker.run_once(later, registry=registry)["certificate_contents"] == 1
    assert holder.newest.sealed is None
    holder.sign_in(db.session.get_one(factories.Holder, holder.bank.holder.holder_id), clock.now())
    page = holder.get(f"{PATH}/{made.certificate_id}")
    assert "Expired" in page.says
    assert not page.offers("Make the link")
    assert holder.send("GET", f"{PATH}/{made.certificate_id}/certificate.sd-jwt").status_code == 410


def test_an_administrator_freezes_thaws_and_revokes_for_a_reason(holder: Holder, app: Flask) -> None:
    made = holder.makes()
    path = f"{PATH}/{made.certificate_id}"

    def step(word: str, ground: str = "fraud") -> str:
        db.session.rollback()
        arguments = ["certificates", "step", made.certificate_id, word, "--ground", ground, "--text", "查实冒用"]
        done = app.test_cli_runner().invoke(args=arguments)
        return f"{done.exit_code} {holder.get(path).says}"

    assert (frozen := step("freeze")).startswith("0 ")
    assert "Frozen by an administrator" in frozen
    assert "Fraud or pressure · 查实冒用" in frozen
    assert not holder.page.offers("Let it be used again")  # it is not hers to thaw
    assert step("freeze").startswith("1 ")
    assert "Can be used again" in step("thaw", "resolved")
    assert "Revoked for good" in step("revoke")
    assert step("thaw").startswith("1 ")
    assert "An administrator revoked a certificate" in holder.get("/messages").says


@pytest.mark.wire
def test_every_step_of_its_life_is_proven_to_strangers(holder: Holder, app: Flask) -> None:
    made = holder.makes()
    path = f"{PATH}/{made.certificate_id}"
    holder.get(path)
    holder.tap("Freeze it")
    assert holder.send("GET", f"{path}/steps/3/proof.json").status_code == 404, "not in the log yet"
    worker.sequence(clock.now(), registry=factories.registry(), files=None)
    assert holder.page.link("Download the proof") == f"{path}/steps/3/proof.json", "the newest first"
    told = []
    for seq in (1, 2, 3):
        answer = holder.send("GET", f"{path}/steps/{seq}/proof.json")
        _where, statement = verify_inclusion.check(answer.data, None, evidence.head().verifier)
        assert statement is not None
        assert statement["digest"] == made.digest
        told.append((statement["kind"], statement["seq"], statement["step"], statement["by"]))
    steps = enumerate((Step.GENERATED, Step.STORED, Step.FROZEN), 1)
    assert told == [("certificate_step", seq, step, By.HOLDER) for seq, step in steps]
    assert holder.send("GET", f"{path}/steps/4/proof.json").status_code == 404
    stranger = factories.holder(clock.now(), factories.OTHER_PERSON, "别人")
    db.session.commit()
    someone = Visitor(app.test_client()).sign_in(stranger, clock.now())
    assert someone.send("GET", f"{path}/steps/1/proof.json").status_code == 404
