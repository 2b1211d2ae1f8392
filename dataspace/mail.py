"""Mail to holders: the address that a holder has confirmed, what is on its way, and who carries it.

An address stands sealed under the space's key beside the code that confirms it. What is sent is words and a link,
never data of the space. A :class:`Carrier` is all that another channel has to be; SMTP (RFC 5321) comes with us.
"""

import datetime as dt
import hmac
import json
import re
import secrets
import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import Protocol

from sqlalchemy import BigInteger, Index, LargeBinary, String, delete, select
from sqlalchemy.orm import Mapped, mapped_column

from dataspace import outbox
from dataspace.db import Model, db, delete_some
from dataspace.errors import Conflict, DomainError, NotFound
from dataspace.outbox import Posted
from dataspace.sealing import seal, unseal
from dataspace.settings import Settings
from dataspace.vault import Vault

OUTBOX = "mail"
WAITS = tuple(dt.timedelta(minutes=m) for m in (1, 5, 30, 120, 480, 1440))
KEPT = dt.timedelta(days=30)
CODE_LIFE = dt.timedelta(minutes=30)
CODE_TRIES = 5
CODE_AGAIN = dt.timedelta(minutes=1)  # another code is sent no sooner
MAX_ADDRESS = 254  # RFC 5321 section 4.5.3.1
TIMEOUT = 5.0  # seconds for each step of talking to the mail server
_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,63}"
)


class InvalidAddress(DomainError):
    code = "invalid_address"
    sentence = "This is not a complete e-mail address."


class WrongCode(DomainError):
    code = "wrong_code"
    sentence = "This code is not right, or too old. Have a new one sent."


class CarryFailed(DomainError):
    """A mail that was not taken. ``final``: no use trying again; ``unreachable``: nor would another be."""

    code = "mail_failed"
    sentence = "The mail could not be sent."

    def __init__(self, detail: str, *, final: bool = False, unreachable: bool = False) -> None:
        super().__init__(detail)
        self.final = final
        self.unreachable = unreachable


class MailAddress(Model):
    """``sealed``: {address} that was confirmed; ``sealed_new``: {address, code} that waits. Bound to the space id."""

    __tablename__ = "mail_addresses"
    space_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    language: Mapped[str] = mapped_column(String(10))
    with_receipts: Mapped[bool] = mapped_column(default=False)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    sealed_new: Mapped[bytes | None] = mapped_column(LargeBinary)
    code_sent_at: Mapped[dt.datetime | None]
    tries: Mapped[int] = mapped_column(default=0)


class Mail(Posted, Model):
    """One mail on its way to a space: about a message, or, without one, the code that confirms its new address."""

    __tablename__ = "mails"
    __table_args__ = (Index(None, "due_at"), Index(None, "created_at"), Index(None, "delivered_at", "due_at"))
    space_id: Mapped[str] = mapped_column(String(40))
    message_id: Mapped[int | None] = mapped_column(BigInteger)


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One mail in words. ``attached``: (name, content) of JSON files."""

    to: str
    subject: str
    text: str
    attached: tuple[tuple[str, bytes], ...] = ()


class Carrier(Protocol):
    """A way to people outside of the service."""

    def carry(self, letter: Letter, now: dt.datetime) -> None:
        """Hand one letter over. Raises CarryFailed."""


@dataclass(frozen=True, kw_only=True)
class Smtp:
    """A mail server. ``security``: ``starttls``, ``tls`` from the first byte, or ``none`` (on this machine)."""

    host: str
    port: int
    security: str
    sender: str
    user: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None  # whom to trust, if not the system's authorities

    @classmethod
    def of(cls, settings: Settings) -> "Smtp | None":
        """The mail server of the settings; None when there is none."""
        if not settings.smtp_host:
            return None
        return cls(
            host=settings.smtp_host,
            port=settings.smtp_port,
            security=settings.smtp_security,
            sender=settings.smtp_sender,
            user=settings.smtp_user,
            password=settings.smtp_password,
        )

    def carry(self, letter: Letter, now: dt.datetime) -> None:
        """One connection, one mail. Raises CarryFailed."""
        message = self._message(letter, now)
        try:
            with self._connected() as server:
                if self.user:
                    server.login(self.user, self.password)
                server.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            codes = [code for code, _text in error.recipients.values()]
            raise CarryFailed(f"refused {codes}", final=all(code >= 500 for code in codes)) from None
        except smtplib.SMTPResponseException as error:
            raise CarryFailed(f"{type(error).__name__} {error.smtp_code}", unreachable=True) from None
        except (smtplib.SMTPException, OSError) as error:
            raise CarryFailed(type(error).__name__, unreachable=True) from None

    def _message(self, letter: Letter, now: dt.datetime) -> EmailMessage:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, letter.to, letter.subject
        message["Date"], message["Message-ID"] = format_datetime(now), make_msgid(domain=self.sender.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday reply
        message.set_content(letter.text)
        for name, content in letter.attached:
            message.add_attachment(content, maintype="application", subtype="json", filename=name)
        return message

    def _connected(self) -> smtplib.SMTP:
        context = self.tls or ssl.create_default_context()
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, timeout=TIMEOUT, context=context)
        server = smtplib.SMTP(self.host, self.port, timeout=TIMEOUT)
        if self.security == "starttls":
            server.starttls(context=context)
        return server


# The address of a space


@dataclass(frozen=True)
class Standing:
    """Where the mail of a space goes: ``confirmed``, and ``waiting`` for its code; empty when there is none."""

    confirmed: str = ""
    waiting: str = ""
    with_receipts: bool = False


def standing(space_id: str, *, vault: Vault) -> Standing:
    """The addresses of a space in clear, for itself. Raises Unreadable."""
    row = db.session.get(MailAddress, space_id)
    if row is None:
        return Standing()
    key = vault.key(space_id)
    return Standing(
        confirmed=_open(key, row.sealed, space_id)["address"] if row.sealed else "",
        waiting=_open(key, row.sealed_new, space_id)["address"] if row.sealed_new else "",
        with_receipts=row.with_receipts,
    )


def propose(
    space_id: str, unverified_address: str, now: dt.datetime, *, language: str, with_receipts: bool, vault: Vault
) -> None:
    """Send a code to an address; mail goes there once the code has come back, until then where it went before.

    Raises InvalidAddress, Conflict when a code was sent a moment ago.
    """
    address = unverified_address.strip()
    if len(address) > MAX_ADDRESS or not _ADDRESS.fullmatch(address) or ".." in address:
        raise InvalidAddress("not an address")
    row = db.session.get(MailAddress, space_id, with_for_update=True) or MailAddress(space_id=space_id)
    if row.code_sent_at is not None and now < row.code_sent_at + CODE_AGAIN:
        raise Conflict("a code was sent a moment ago")
    code = f"{secrets.randbelow(10**8):08}"
    content = json.dumps({"address": address, "code": code}).encode()
    row.sealed_new = seal(vault.key(space_id), content, identity=f"mail:{space_id}")
    row.language, row.with_receipts, row.code_sent_at, row.tries = language, with_receipts, now, 0
    db.session.add(row)
    _enqueue(space_id, None, now)


def confirm(space_id: str, unverified_code: str, now: dt.datetime, *, vault: Vault) -> None:
    """The code has come back: mail goes to the new address. Raises WrongCode; the try counts, so commit it."""
    row = db.session.get(MailAddress, space_id, with_for_update=True)
    if row is None or row.sealed_new is None or row.code_sent_at is None:
        raise WrongCode("no code was sent")
    row.tries += 1
    if row.tries > CODE_TRIES or now >= row.code_sent_at + CODE_LIFE:
        raise WrongCode("too many tries, or too old")
    key = vault.key(space_id)
    waiting = _open(key, row.sealed_new, space_id)
    typed = "".join(c for c in unverified_code if c.isascii() and c.isdigit())
    if not hmac.compare_digest(typed, waiting["code"]):
        raise WrongCode("another code")
    confirmed = json.dumps({"address": waiting["address"]}).encode()
    row.sealed, row.sealed_new = seal(key, confirmed, identity=f"mail:{space_id}"), None


def forget(space_id: str) -> None:
    """No more mail to this space."""
    db.session.execute(delete(MailAddress).where(MailAddress.space_id == space_id))


def has_address(space_id: str) -> bool:
    """Whether mail goes to this space."""
    mine = MailAddress.space_id == space_id, MailAddress.sealed.is_not(None)
    return db.session.scalar(select(MailAddress.space_id).where(*mine)) is not None


# What is on its way


def about(space_id: str, message_id: int, now: dt.datetime) -> None:
    """Send a mail about a message, if the space has an address."""
    if has_address(space_id):
        _enqueue(space_id, message_id, now)


def destination(mail: Mail, *, vault: Vault) -> tuple[MailAddress, dict[str, str]]:
    """Where a mail goes: {address}, and for a code the code. Raises NotFound, Unreadable."""
    row = db.session.get(MailAddress, mail.space_id)
    sealed = None if row is None else row.sealed_new if mail.message_id is None else row.sealed
    if row is None or sealed is None:
        raise NotFound("no address any more")
    return row, _open(vault.key(mail.space_id), sealed, mail.space_id)


def sweep(now: dt.datetime, limit: int = 1000) -> int:
    """Delete up to ``limit`` mails of long ago, sent or given up; returns how many."""
    return delete_some(Mail, Mail.created_at <= now - KEPT, by=Mail.created_at, limit=limit)


def _enqueue(space_id: str, message_id: int | None, now: dt.datetime) -> None:
    db.session.add(Mail(space_id=space_id, message_id=message_id, created_at=now, due_at=now))
    db.session.flush()
    outbox.mark(OUTBOX)


def _open(key: bytes, sealed: bytes | None, space_id: str) -> dict[str, str]:
    found: dict[str, str] = json.loads(unseal(key, sealed or b"", identity=f"mail:{space_id}"))
    return found
