"""Mail that was given up: what administrators see of it, without addresses and without names; sent again on demand."""

import datetime as dt

from sqlalchemy import func, select, update

from dataspace import outbox
from dataspace.db import db
from dataspace.mail import OUTBOX, Mail
from dataspace.messages import Message

PAGE = 25
PROBLEMS = 20

# A code is good for half an hour, so one that was given up is not sent again: whoever waits asks for a new one.
_LOST = (Mail.delivered_at.is_(None), Mail.due_at.is_(None))
_AGAIN = (*_LOST, Mail.message_id.is_not(None))


def given_up(before: int | None = None, limit: int = PAGE) -> list[tuple[Mail, Message | None]]:
    """Mails that are not tried any more, newest first, with what they are about; None for a code.

    ``before``: a notice_id.
    """
    query = select(Mail, Message).outerjoin(Message, Message.message_id == Mail.message_id).where(*_LOST)
    if before is not None:
        query = query.where(Mail.notice_id < before)
    return [(mail, message) for mail, message in db.session.execute(query.order_by(Mail.notice_id.desc()).limit(limit))]


def problems() -> list[tuple[str, int]]:
    """(problem, how many mails were given up over it), the most frequent first."""
    count = func.count().label("mails")
    query = select(Mail.problem, count).where(*_LOST).group_by(Mail.problem)
    return [(problem, number) for problem, number in db.session.execute(query.order_by(count.desc()).limit(PROBLEMS))]


def waiting() -> int:
    """How many mails are still on their way."""
    query = select(func.count()).where(Mail.delivered_at.is_(None), Mail.due_at.is_not(None))
    return db.session.scalar(query) or 0


def send_again(now: dt.datetime, *, notice_id: int | None = None) -> int:
    """Try one again, or all that were given up, as if they were new; returns how many."""
    which = _AGAIN if notice_id is None else (*_AGAIN, Mail.notice_id == notice_id)
    values = {"due_at": now, "created_at": now, "attempts": 0, "problem": ""}
    again = update(Mail).where(*which).values(values).returning(Mail.notice_id)
    count = len(db.session.scalars(again.execution_options(synchronize_session=False)).all())
    if count:
        outbox.mark(OUTBOX)
    return count
