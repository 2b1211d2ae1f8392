"""Mail to holders in words: the title of a message and a link, in the language in which the address was given."""

import datetime as dt
import functools
from collections.abc import Collection

from flask_babel import force_locale
from flask_babel import gettext as _
from sqlalchemy import select

from consent import receipts
from consent.history import Registry
from consent.records import Consent
from consent.web import inbox
from dataspace import mail, outbox
from dataspace.db import db
from dataspace.errors import DomainError, NotFound
from dataspace.mail import Carrier, CarryFailed, Letter, Mail
from dataspace.messages import Message
from dataspace.outbox import Channel, Outcome
from dataspace.settings import Settings


def channel(registry: Registry, settings: Settings, carrier: Carrier | None) -> Channel:
    """The outbox of mail; without a carrier nothing leaves."""

    def write(mails: Collection[Mail], now: dt.datetime) -> list[outbox.Letter | Outcome]:
        return [_letter(one, now, registry, settings, carrier) for one in mails]

    return Channel(name=mail.OUTBOX, rows=Mail, addressee=Mail.space_id, waits=mail.WAITS, write=write)


def _letter(
    one: Mail, now: dt.datetime, registry: Registry, settings: Settings, carrier: Carrier | None
) -> outbox.Letter | Outcome:
    if carrier is None:
        return Outcome(notice_id=one.notice_id, problem="no mail server is set", final=True)
    try:
        letter = _words(one, registry, settings)
    except DomainError as error:
        return Outcome(notice_id=one.notice_id, problem=error.detail, final=True)
    return outbox.Letter(
        notice_id=one.notice_id, to=one.space_id, post=functools.partial(_post, one.notice_id, letter, now, carrier)
    )


def _post(notice_id: int, letter: Letter, now: dt.datetime, carrier: Carrier) -> Outcome:
    try:
        carrier.carry(letter, now)
    except CarryFailed as error:
        return Outcome(notice_id=notice_id, problem=error.detail, final=error.final, unreachable=error.unreachable)
    return Outcome(notice_id=notice_id)


def _words(one: Mail, registry: Registry, settings: Settings) -> Letter:
    """Raises NotFound when the address or the message is gone, Unreadable when the space is erased."""
    row, where = mail.destination(one, vault=registry.vault)
    with force_locale(row.language):
        if one.message_id is None:
            subject = _("Your code: %(code)s", code=where["code"])
            text = _("Enter this code on the page where you have given this address. It is good for 30 minutes.")
            return Letter(to=where["address"], subject=subject, text=_signed([text], settings))
        message = db.session.get(Message, one.message_id)
        if message is None:
            raise NotFound("no such message any more")
        title = inbox.title(message)
        paragraphs = [title, _("Look at it here: %(link)s", link=f"{registry.issuer}/messages")]
        receipt = _receipt(message)
        if receipt is not None:
            link = f"{registry.issuer}/receipts/{receipt.receipt_id}"
            paragraphs.append(_("The receipt is here: %(link)s", link=link))
        text = _signed(paragraphs, settings)
        attached: tuple[tuple[str, bytes], ...] = ()
        if receipt is not None and row.with_receipts:
            signed = receipts.signed(receipt, vault=registry.vault)
            attached = ((f"{receipt.receipt_id}.json", signed.file_with(receipts.evidence_of(receipt))),)
        return Letter(to=where["address"], subject=title, text=text, attached=attached)


def _signed(paragraphs: list[str], settings: Settings) -> str:
    about_this = _(
        "This mail was sent by %(site)s. We never ask for a code or a password by mail.", site=settings.site_name
    )
    return "\n\n".join([*paragraphs, about_this]) + "\n"


def _receipt(message: Message) -> receipts.Receipt | None:
    """The receipt of the event that a message is about, if it is one of this space."""
    latest = (
        select(receipts.Receipt)
        .join(Consent, Consent.consent_id == receipts.Receipt.consent_id)
        .where(Consent.space_id == message.space_id, receipts.Receipt.consent_id == message.about)
        .where(receipts.Receipt.kind == message.kind)
        .order_by(receipts.Receipt.seq.desc())
        .limit(1)
    )
    return db.session.scalar(latest)
