"""Statements that are compiled once say the same as SQLAlchemy's own, and transactions without a session are whole."""

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy.exc import DBAPIError, IntegrityError

from consent.oauth.replay import SeenJti
from dataspace import clock
from dataspace.db import begin_without_session, close, commit, connection, db, table_of
from dataspace.prepared import Prepared

_seen = table_of(SeenJti)
REMEMBER = Prepared(sa.insert(_seen), filled=["digest", "expires_at"])
REMEMBERED = Prepared(sa.select(_seen).where(_seen.c.digest == sa.bindparam("digest")))


@pytest.fixture
def bare(app: Flask) -> Iterator[None]:
    """A transaction without a session."""
    db.session.remove()
    begin_without_session()
    yield
    close()


def count() -> int:
    """What another connection sees."""
    with db.engine.connect() as other:
        return other.scalar(sa.select(sa.func.count()).select_from(_seen)) or 0


def remember(digest: bytes) -> int:
    return REMEMBER.run({"digest": digest, "expires_at": clock.now()})


def test_values_and_rows_go_through_the_types_of_their_columns(app: Flask) -> None:
    now = clock.now()
    assert REMEMBER.run({"digest": b"a", "expires_at": now}) == 1
    row = REMEMBERED.first({"digest": b"a"})
    assert (row.digest, row.expires_at) == (b"a", now)
    assert row == tuple(connection().execute(sa.select(_seen)).one())
    with pytest.raises(ValueError, match="naive"):
        REMEMBER.run({"digest": b"b", "expires_at": now.replace(tzinfo=None)})


def test_there_may_be_no_row(app: Flask) -> None:
    assert REMEMBERED.first({"digest": b"nobody's"}) is None
    assert REMEMBERED.all({"digest": b"nobody's"}) == []


def test_a_value_that_is_not_given_is_null_or_what_the_statement_says(app: Flask) -> None:
    both = sa.select(sa.bindparam("given", type_=sa.String()).label("given"), sa.literal("said").label("said"))
    assert Prepared(both).all({}) == [(None, "said")]
    assert Prepared(both).all({"given": "x"}) == [("x", "said")]


def test_errors_are_sqlalchemys_and_tell_no_value(app: Flask) -> None:
    remember(b"twice")
    with pytest.raises(IntegrityError) as caught:
        REMEMBER.run({"digest": b"twice", "expires_at": clock.now()})
    assert "INSERT INTO seen_jtis" in str(caught.value)
    assert "twice" not in str(caught.value.params)
    db.session.rollback()


def test_whoever_listens_to_statements_hears_of_them(app: Flask) -> None:
    heard: list[str] = []
    for name in ("before_cursor_execute", "after_cursor_execute"):
        sa.event.listen(db.engine, name, lambda *args: heard.append(args[2]))
    remember(b"heard")
    assert [statement[:11] for statement in heard] == ["INSERT INTO", "INSERT INTO"]


def test_it_is_the_transaction_of_the_session(app: Flask) -> None:
    remember(b"undone")
    db.session.rollback()
    assert count() == 0
    remember(b"done")
    db.session.commit()
    assert count() == 1


def test_without_a_session_nothing_is_kept_until_the_commit(bare: None) -> None:
    remember(b"1")
    assert count() == 0
    assert not db.session.registry.has()
    commit()
    assert count() == 1
    assert not db.session.registry.has()


def test_without_a_commit_nothing_is_kept(bare: None) -> None:
    remember(b"1")
    close()
    assert count() == 0


@pytest.mark.parametrize("end", [commit, db.session.commit])
def test_a_session_that_comes_later_goes_on_in_the_same_transaction(bare: None, end: Callable[[], None]) -> None:
    remember(b"before the session")
    db.session.add(SeenJti(digest=b"in the session", expires_at=clock.now()))
    db.session.flush()
    remember(b"after it came")
    assert count() == 0
    end()
    assert count() == 3
    remember(b"the next transaction")
    end()
    assert count() == 4


def test_a_session_that_comes_later_undoes_all_of_it(bare: None) -> None:
    remember(b"before the session")
    db.session.add(SeenJti(digest=b"in the session", expires_at=clock.now()))
    db.session.rollback()
    db.session.commit()
    assert count() == 0


def test_where_there_is_a_session_it_is_used(app: Flask) -> None:
    db.session.add(SeenJti(digest=b"1", expires_at=clock.now()))
    db.session.flush()
    begin_without_session()
    remember(b"2")
    commit()
    assert count() == 2


def test_after_an_error_the_next_transaction_begins_anew(bare: None) -> None:
    remember(b"1")
    with pytest.raises(DBAPIError):
        REMEMBER.run({"digest": b"1", "expires_at": clock.now()})
    db.session.rollback()
    remember(b"2")
    commit()
    assert count() == 1
