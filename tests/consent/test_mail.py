"""Mail to holders through a real mail server on the loopback: who gets it, what it says, what happens when it fails."""

import asyncio
import datetime as dt
import json
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from flask import Flask, current_app
from sqlalchemy import select, update

from consent import endings, worker
from consent.receipts import Receipt
from consent.web import mail as mail_words
from dataspace import guardians, lost_mail, mail, messages
from dataspace.db import db
from dataspace.holders import Holder
from dataspace.mail import CarryFailed, Letter, Mail, MailAddress, Smtp
from dataspace.mandates import Capacity
from dataspace.messages import ALWAYS, Group, Notice
from dataspace.web.shell import services
from tests import factories
from tests.conftest import ISSUER, make_settings
from tests.consent.certified import certificate
from tests.consent.desk import Desk
from tests.consent.shop import wait_until
from tests.consent.visitor import Visitor
from wsgi import create_app

ADDRESS = "jiayi@example.com"
STUDENT = "440099201001100068"  # 王子晴, 16


class Server:
    """What a mail server has taken; ``refuses``: what it answers in place of taking more."""

    port: int

    def __init__(self) -> None:
        self.taken: list[tuple[str, EmailMessage]] = []
        self.refuses = ""

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if self.refuses:
            return self.refuses
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        message = message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        self.taken.append((envelope.rcpt_tos[0], message))
        return "250 OK"


class Polite(Controller):
    """A mail server that hangs up on everybody before it is stopped: nothing of it is left open for the next test."""

    def __init__(self, *args: Any, **how: Any) -> None:
        super().__init__(*args, **how)
        self.met: list[SMTP] = []

    def factory(self) -> SMTP:
        self.met.append(super().factory())
        return self.met[-1]

    async def hang_up(self) -> None:
        await asyncio.sleep(0.02)  # whoever has just come is met first
        for talk in self.met:
            for transport in (talk.transport, talk._original_transport):
                if transport is not None:
                    transport.abort()
        await asyncio.sleep(0.02)  # in which the sockets are closed


@contextmanager
def running(**how: Any) -> Iterator[tuple[Server, int]]:
    server = Server()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Polite(server, hostname="127.0.0.1", port=port, **how)
    controller.start()
    try:
        yield server, port
    finally:
        asyncio.run_coroutine_threadsafe(controller.hang_up(), controller.loop).result(timeout=10)
        controller.stop()


@pytest.fixture
def server() -> Iterator[Server]:
    with running() as (found, port):
        found.port = port
        yield found


@pytest.fixture
def app(database_url: str, server: Server) -> Iterator[Flask]:
    """An application that has a mail server."""
    how = {"smtp_host": "127.0.0.1", "smtp_port": server.port, "smtp_security": "none"}
    made = create_app(make_settings(database_url, **how, smtp_sender="space@example.org"))
    with made.app_context():
        yield made
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def visitor(app: Flask, world: factories.World, now: dt.datetime) -> Visitor:
    return Visitor(app.test_client()).sign_in(world.person, now)


def deliver(now: dt.datetime) -> int:
    settings = services().settings
    return worker.deliver(mail_words.channel(factories.registry(), settings, current_app.extensions["carrier"]), now)


def mails() -> list[Mail]:
    db.session.rollback()
    db.session.expire_all()
    return list(db.session.scalars(select(Mail).order_by(Mail.notice_id)))


def has_address(person: Holder, now: dt.datetime, *, language: str = "en", receipts: bool = False) -> None:
    """As if the code had come back already."""
    vault = services().vault
    mail.propose(person.space_id, ADDRESS, now, language=language, with_receipts=receipts, vault=vault)
    row = db.session.get_one(MailAddress, person.space_id)
    row.sealed, row.sealed_new = row.sealed_new, None
    db.session.execute(update(Mail).values(due_at=None, delivered_at=now))
    db.session.commit()


# The address


def test_an_address_is_confirmed_by_its_code_and_mail_goes_there(
    server: Server, visitor: Visitor, world: factories.World, now: dt.datetime
) -> None:
    visitor.get("/messages/address")
    visitor.tap("Send a code", address=ADDRESS)
    wait_until(lambda: len(server.taken) == 1)  # the serving process sends it beside its answer
    ((to, message),) = server.taken
    assert to == ADDRESS
    assert message["From"] == "space@example.org"
    code = re.search(r"\d{8}", message["Subject"])
    assert code is not None
    assert not mail.has_address(world.person.space_id)
    visitor.tap("Confirm", code="00000000")
    assert "not right" in visitor.page.says
    visitor.tap("Confirm", code=f"{code[0][:4]} {code[0][4:]}")
    assert f"Mail goes to {ADDRESS}." in visitor.page.says
    stored = db.session.get_one(MailAddress, world.person.space_id)
    assert stored.sealed is not None
    assert ADDRESS.encode() not in stored.sealed
    visitor.tap("Send no more mail")
    assert not mail.has_address(world.person.space_id)


@pytest.mark.wire
@pytest.mark.parametrize(
    "address",
    [
        "", "x", "x@", "@example.com", "x@example", "x@example..com", "x@-a.com", "a b@example.com", "x..y@example.com",
        "x@example.com\r\nBcc: y@example.com", "<x@example.com>", "x@example.com,y@example.com", f"{'x' * 250}@a.com",
        "陈@example.com",
    ],
)  # fmt: skip
def test_what_is_no_address(address: str, visitor: Visitor, server: Server, now: dt.datetime) -> None:
    visitor.get("/messages/address")
    page = visitor.tap("Send a code", address=address)
    assert (page.status, "not a complete e-mail address" in page.says) == (400, True)
    assert mails() == []


def test_a_code_has_few_tries_and_a_short_life(world: factories.World, now: dt.datetime) -> None:
    space, vault = world.person.space_id, services().vault
    with pytest.raises(mail.WrongCode):
        mail.confirm(space, "1", now, vault=vault)
    mail.propose(space, ADDRESS, now, language="en", with_receipts=False, vault=vault)
    with pytest.raises(mail.Conflict):
        mail.propose(space, ADDRESS, now, language="en", with_receipts=False, vault=vault)
    row = db.session.get_one(MailAddress, space)
    _row, sent = mail.destination(db.session.scalars(select(Mail)).one(), vault=vault)
    with pytest.raises(mail.WrongCode):
        mail.confirm(space, sent["code"], now + mail.CODE_LIFE, vault=vault)
    row.tries = mail.CODE_TRIES
    with pytest.raises(mail.WrongCode):
        mail.confirm(space, sent["code"], now, vault=vault)
    assert row.sealed is None


def test_an_old_sign_in_or_an_agent_changes_no_address(app: Flask, world: factories.World, now: dt.datetime) -> None:
    old = Visitor(app.test_client()).sign_in(world.person, now - dt.timedelta(minutes=20))
    old.get("/messages/address")
    old.tap("Send a code", address=ADDRESS)
    assert old.path.startswith("/signin")
    company, agent = factories.company(now), factories.holder(now, factories.AGENT, "周敏")
    acting = factories.mandate(company, agent, Capacity.AGENT, now)
    db.session.commit()
    agents = Visitor(app.test_client()).sign_in(agent, now, acting=acting)
    agents.get("/messages/address")
    assert agents.tap("Send a code", address=ADDRESS).status == 403
    assert mails() == []


def test_until_the_new_one_is_confirmed_mail_goes_to_the_old_one(world: factories.World, now: dt.datetime) -> None:
    has_address(world.person, now)
    later, vault = now + dt.timedelta(hours=1), services().vault
    mail.propose(world.person.space_id, "new@example.com", later, language="en", with_receipts=False, vault=vault)
    standing = mail.standing(world.person.space_id, vault=vault)
    assert (standing.confirmed, standing.waiting) == (ADDRESS, "new@example.com")


# What is sent


def test_a_mail_has_plain_words_and_a_link_and_no_data(
    server: Server, world: factories.World, now: dt.datetime
) -> None:
    has_address(world.person, now, language="zh_Hans")
    endings.withdraw(world.consent.consent_id, world.actor, now, registry=factories.registry())
    db.session.commit()
    assert deliver(now) == 1
    ((to, message),) = server.taken
    assert (to, message["Subject"]) == (ADDRESS, "一项授权已停止")
    assert message["Auto-Submitted"] == "auto-generated"
    text = message.get_content()
    assert f"{ISSUER}/messages" in text
    assert not [w for w in ("陈嘉怡", "岭南", "cns_", factories.PERSON, "贷款") if w in text + message["Subject"]]
    assert [(m.problem, m.delivered_at is not None) for m in mails()][-1] == ("", True)


def test_c40_receipts_are_attached_where_they_are_wanted(
    server: Server, world: factories.World, now: dt.datetime
) -> None:
    has_address(world.person, now, receipts=True)
    endings.withdraw(world.consent.consent_id, world.actor, now, registry=factories.registry())
    messages.send(world.person.space_id, Notice.PASSKEY_ADDED, Group.SECURITY, now)
    db.session.commit()
    assert deliver(now) == 2
    by_subject = {message["Subject"]: list(message.iter_attachments()) for _to, message in server.taken}
    (attached,) = by_subject["An authorization was stopped"]
    content = json.loads(attached.get_content())
    receipt = db.session.scalars(select(Receipt).filter_by(kind="consent:withdrawn")).one()
    assert attached.get_filename() == f"{receipt.receipt_id}.json"
    assert content["receipt"]["receipt_id"] == receipt.receipt_id
    assert [len(a) for s, a in by_subject.items() if s.startswith("A passkey")] == [0]


def test_c40_a_mail_leads_to_the_receipt_itself(
    server: Server, visitor: Visitor, world: factories.World, now: dt.datetime
) -> None:
    has_address(world.person, now)
    endings.withdraw(world.consent.consent_id, world.actor, now, registry=factories.registry())
    messages.send(world.person.space_id, Notice.PASSKEY_ADDED, Group.SECURITY, now)
    db.session.commit()
    assert deliver(now) == 2
    texts = {message["Subject"]: message.get_content() for _to, message in server.taken}
    link = re.search(
        rf"The receipt is here: {re.escape(ISSUER)}(/receipts/rcp_[0-9a-f]+)\s", texts["An authorization was stopped"]
    )
    assert link is not None
    assert "You stopped this authorization." in visitor.get(link[1]).says
    assert [s for s, text in texts.items() if "receipt" in text] == ["An authorization was stopped"]


def test_c39_what_a_counter_stopped_is_mailed_with_its_receipt_whatever_was_left_out(
    app: Flask, server: Server, world: factories.World, now: dt.datetime
) -> None:
    has_address(world.person, now, receipts=True)
    messages.choose(world.person.space_id, ())
    db.session.commit()
    desk = Desk(app.test_client()).sign_in(factories.administrator(now), now)
    path = f"/admin/consents/{world.consent.consent_id}"
    desk.get(path)
    desk.post(f"{path}/withdraw", known_by="Identity card shown")
    wait_until(lambda: len(server.taken) == 1)
    ((to, message),) = server.taken
    assert (to, message["Subject"]) == (ADDRESS, "An authorization was stopped")
    (attached,) = list(message.iter_attachments())
    said = json.loads(attached.get_content())["receipt"]["words"]["what"]["en"]
    assert (
        said == "This authorization was stopped as you asked at a counter or by phone. Nothing can be read from now on."
    )


def test_what_is_left_out_is_not_mailed_but_security_is(world: factories.World, now: dt.datetime) -> None:
    has_address(world.person, now)
    before = len(mails())
    messages.choose(world.person.space_id, ())
    for group in Group:
        messages.send(world.person.space_id, "x", group, now)
    db.session.commit()
    assert len(mails()) == before + len(ALWAYS)


def test_c22_a_guardian_is_told_by_mail_without_names(server: Server, world: factories.World, now: dt.datetime) -> None:
    has_address(world.person, now, language="zh_Hans", receipts=True)
    student = factories.holder(now, STUDENT, "王子晴")
    guardians.appoint(student, world.person, now, vault=services().vault)
    factories.consent(factories.ask(world.purpose, now), factories.actor(student, now), now)
    db.session.commit()
    assert deliver(now) == 1
    ((to, message),) = server.taken
    assert (to, message["Subject"]) == (ADDRESS, "您监护的孩子有一项新的授权")
    assert list(message.iter_attachments()) == []  # a receipt is the child's own
    text = message.get_content()
    assert f"{ISSUER}/messages" in text
    assert not [w for w in ("王子晴", "岭南", "cns_", STUDENT, "贷款") if w in text]


def test_a_message_that_comes_once_is_mailed_once(world: factories.World, now: dt.datetime) -> None:
    has_address(world.person, now)
    before = len(mails())
    for _ in range(3):
        messages.send(world.person.space_id, Notice.READ_REFUSED, Group.READS, now, once="today")
    db.session.commit()
    assert len(mails()) == before + 1


# What goes wrong


@pytest.mark.parametrize(
    ("answer", "problem", "again"),
    [
        ("550 unknown", "refused [550]", False),
        ("451 later", "refused [451]", True),
        ("421 busy", "refused [421]", True),
    ],
)
def test_a_mail_that_is_refused(
    answer: str, problem: str, again: bool, server: Server, world: factories.World, now: dt.datetime
) -> None:
    has_address(world.person, now)
    server.refuses = answer
    messages.send(world.person.space_id, "x", Group.SECURITY, now)
    db.session.commit()
    assert deliver(now) == 1
    row = mails()[-1]
    assert problem in row.problem
    assert (row.due_at is not None, row.delivered_at) == (again, None)
    if again:
        server.refuses = ""
        assert deliver(now + mail.WAITS[0]) == 1
        assert len(server.taken) == 1


def test_mail_that_was_given_up_is_listed_without_addresses_and_sent_again(
    app: Flask, server: Server, world: factories.World, now: dt.datetime
) -> None:
    has_address(world.person, now)
    desk = Desk(app.test_client()).sign_in(factories.administrator(now), now)
    desk.get("/admin/undelivered/mail")
    assert "Every mail was delivered" in desk.says
    server.refuses = "550 unknown"
    for event in ("given", "withdrawn"):
        messages.send(world.person.space_id, f"consent:{event}", Group.AUTHORIZATIONS, now)
    mail.propose(world.person.space_id, ADDRESS, now + dt.timedelta(hours=1), language="en", with_receipts=False,
                 vault=services().vault)  # fmt: skip
    db.session.commit()
    assert deliver(now + dt.timedelta(hours=1)) == 3
    desk.get("/admin/undelivered")
    assert "/admin/undelivered/mail" in desk.page
    desk.get("/admin/undelivered/mail")
    assert desk.rows(0) == [["refused [550]", "3"]]
    assert [(row[1], row[2], row[3], row[4]) for row in desk.rows(1)] == [
        ("A code for a new address", "1", "refused [550]", ""),
        ("An authorization was stopped", "1", "refused [550]", "Send again"),
        ("A new authorization was given", "1", "refused [550]", "Send again"),
    ]
    for secret in (ADDRESS, "example.com", "陈嘉怡", world.person.space_id, world.person.holder_id):
        assert secret not in desk.page
    server.refuses = ""
    lost = [row.notice_id for row in mails() if row.problem and row.message_id is not None]
    desk.post("/admin/undelivered/mail/again", notice=str(lost[0]))
    assert "1 mail is sent again." in desk.says
    wait_until(lambda: len(server.taken) == 1)
    for number in ("9" * 30, "x", "-1", str(lost[0])):
        desk.post("/admin/undelivered/mail/again", notice=number)
        assert "0 mails are sent again." in desk.says
    desk.post("/admin/undelivered/mail/again")
    assert "1 mail is sent again." in desk.says
    wait_until(lambda: len(server.taken) == 2)
    assert {message["Subject"] for _to, message in server.taken} == {
        "A new authorization was given", "An authorization was stopped",
    }  # fmt: skip
    wait_until(lambda: [row.message_id for row in mails() if row.problem] == [None])
    desk.get("/admin/activity")
    assert "Mail to holders sent again" in desk.says


def test_only_administrators_see_mail_that_was_given_up(visitor: Visitor) -> None:
    assert visitor.get("/admin/undelivered/mail").status == 403


def test_a_long_list_of_mail_goes_on(app: Flask, world: factories.World, now: dt.datetime) -> None:
    for _ in range(lost_mail.PAGE + 1):
        db.session.add(Mail(space_id=world.person.space_id, created_at=now, due_at=None, problem="ConnectionError"))
    db.session.commit()
    desk = Desk(app.test_client()).sign_in(factories.administrator(now), now)
    desk.get("/admin/undelivered/mail")
    assert desk.rows(0) == [["ConnectionError", str(lost_mail.PAGE + 1)]]
    assert len(desk.rows(1)) == lost_mail.PAGE
    older = re.search(r'href="(/admin/undelivered/mail\?before=\d+)"', desk.page)
    assert older is not None
    desk.get(older[1])
    assert len(desk.rows(1)) == 1
    desk.get("/admin/undelivered/mail?before=x")
    assert len(desk.rows(1)) == lost_mail.PAGE


def test_without_a_server_an_address_or_a_space_nothing_is_sent(world: factories.World, now: dt.datetime) -> None:
    has_address(world.person, now)
    for _ in range(2):
        messages.send(world.person.space_id, "x", Group.SECURITY, now)
    db.session.commit()
    nowhere = mail_words.channel(factories.registry(), services().settings, None)
    db.session.execute(update(Mail).where(Mail.notice_id == mails()[-1].notice_id).values(due_at=now + mail.WAITS[0]))
    db.session.commit()
    assert worker.deliver(nowhere, now) == 1
    mail.forget(world.person.space_id)
    db.session.commit()
    assert deliver(now + mail.WAITS[0]) == 1
    assert [row.problem for row in mails()][-2:] == ["no mail server is set", "no address any more"]


def test_a_service_without_mail_says_so(database_url: str, now: dt.datetime) -> None:
    made = create_app(make_settings(database_url))
    with made.app_context():
        person = factories.holder(now)
        db.session.commit()
        page = Visitor(made.test_client()).sign_in(person, now).get("/messages/address")
        assert "sends no e-mail at present" in page.says
        assert not page.offers("Send a code")
        db.session.remove()
        db.engine.dispose()


# The wire


LETTER = Letter(to=ADDRESS, subject="主题", text="您好\n")


def test_a_password_goes_over_tls_only(tmp_path: Path, now: dt.datetime) -> None:
    authority = certificate("CN=Example Authority", is_authority=True)
    own = certificate("CN=localhost", by=authority, hosts=("localhost",))
    chain = tmp_path / "server.pem"
    chain.write_text(own.key_pem + own.pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    trusted = ssl.create_default_context(cadata=authority.pem)

    def known(_server: Any, _session: Any, _envelope: Any, _how: str, what: LoginPassword) -> AuthResult:
        return AuthResult(success=(what.login, what.password) == (b"space", b"secret"))

    how = {"tls_context": context, "require_starttls": True, "auth_required": True, "authenticator": known}
    with running(**how) as (server, port):
        good = Smtp(
            host="localhost", port=port, security="starttls", sender="space@example.org", user="space",
            password="secret", tls=trusted,
        )  # fmt: skip
        good.carry(LETTER, now)
        assert server.taken[0][1].get_content().strip() == "您好"
        for changes in ({"password": "wrong"}, {"tls": None}, {"security": "tls"}):
            with pytest.raises(CarryFailed) as failed:
                Smtp(**(vars(good) | changes)).carry(LETTER, now)
            assert failed.value.unreachable
        assert len(server.taken) == 1


def test_nobody_there(now: dt.datetime) -> None:
    nowhere = Smtp(host="127.0.0.1", port=9, security="none", sender="space@example.org")
    with pytest.raises(CarryFailed) as failed:
        nowhere.carry(LETTER, now)
    assert (failed.value.unreachable, failed.value.final) == (True, False)
