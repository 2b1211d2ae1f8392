"""Each signed message is accepted once: in one process, and by two requests at the same moment."""

import datetime as dt
import threading

import sqlalchemy as sa
from flask import Flask

from consent.oauth import replay
from dataspace.db import db

NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(seconds=60)


def test_a_second_time_is_told(app: Flask) -> None:
    assert replay.remember("dpop", "key", "jti", LATER)
    assert not replay.remember("dpop", "key", "jti", LATER)
    db.session.commit()
    assert not replay.remember("dpop", "key", "jti", LATER)


def test_each_owner_and_each_kind_counts_alone(app: Flask) -> None:
    rows = [("dpop", "key", "jti"), ("assertion", "key", "jti"), ("dpop", "yek", "jti"), ("dpop", "key", "jti2")]
    rows += [("dpop", "keyj", "ti"), ("dpop", "ke", "yjti"), ("dpop", "key3:jti", ""), ("dpop", "键", "\0")]
    assert all(replay.remember(*row, LATER) for row in rows)


def test_of_many_at_once_one_is_new(app: Flask) -> None:
    answers: list[bool] = []
    ready = threading.Barrier(6)

    def ask() -> None:
        with app.app_context():
            ready.wait()
            answers.append(replay.remember("assertion", "client", "jti", LATER))
            db.session.commit()

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [False] * 5 + [True]


def test_what_was_rolled_back_was_not_seen(app: Flask) -> None:
    assert replay.remember("dpop", "key", "jti", LATER)
    db.session.rollback()
    assert replay.remember("dpop", "key", "jti", LATER)


def test_the_expired_are_swept_in_batches_oldest_first(app: Flask) -> None:
    for n in range(5):
        replay.remember("dpop", "key", str(n), NOW + dt.timedelta(seconds=n))
    assert replay.sweep(NOW + dt.timedelta(seconds=3), limit=3) == 3
    assert replay.sweep(NOW + dt.timedelta(seconds=3), limit=3) == 1
    assert replay.sweep(NOW + dt.timedelta(seconds=3), limit=3) == 0
    left = db.session.scalars(sa.select(replay.SeenJti.expires_at)).all()
    assert left == [NOW + dt.timedelta(seconds=4)]
