"""The bank's loan applications, in a SQLite file: what was asked, the token that came back, the last answer."""

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.bank.fapi import Started

SCHEMA = """
CREATE TABLE IF NOT EXISTS applications (
    application_id TEXT PRIMARY KEY,
    browser TEXT NOT NULL,
    offer TEXT NOT NULL,
    state TEXT NOT NULL UNIQUE,
    code_verifier TEXT NOT NULL,
    status TEXT NOT NULL,
    reason TEXT,
    token TEXT,
    token_until REAL,
    answer TEXT,
    changed_at REAL NOT NULL
)
"""


@dataclass(frozen=True)
class Application:
    """``status``: asked, granted or refused; ``token`` and ``answer`` as the service sent them."""

    application_id: str
    browser: str
    offer: str
    state: str
    code_verifier: str
    status: str
    reason: str | None
    token: dict[str, Any] | None
    token_until: float | None
    answer: dict[str, Any] | None
    changed_at: float


class Ledger:
    """One file; one connection per call, so that threads and processes may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._open() as connection:
            connection.execute(SCHEMA)

    def add(self, application_id: str, browser: str, offer: str, started: Started) -> None:
        """Note that a customer was sent away to decide."""
        values = (application_id, browser, offer, started.state, started.code_verifier, "asked", time.time())
        with self._open() as connection:
            connection.execute(
                "INSERT INTO applications (application_id, browser, offer, state, code_verifier, status, changed_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                values,
            )

    def of_browser(self, browser: str) -> list[Application]:
        """The applications of one browser, newest first."""
        return self._find("browser = ? ORDER BY changed_at DESC LIMIT 20", browser)

    def get(self, application_id: str, browser: str) -> Application | None:
        """One application, if this browser made it."""
        return next(iter(self._find("application_id = ? AND browser = ?", application_id, browser)), None)

    def by_state(self, state: str, browser: str) -> Application | None:
        """The application that an authorization response belongs to, if this browser made it (RFC 6749, 10.12)."""
        return next(iter(self._find("state = ? AND browser = ?", state, browser)), None)

    def granted(self, application_id: str, token: dict[str, Any]) -> None:
        """Keep a fresh token."""
        until = time.time() + float(token.get("expires_in", 0))
        self._set(application_id, status="granted", reason=None, token=json.dumps(token), token_until=until)

    def refused(self, application_id: str, reason: str) -> None:
        """Note that the authorization did not come about."""
        self._set(application_id, status="refused", reason=reason)

    def answered(self, application_id: str, answer: dict[str, Any]) -> None:
        """Keep the last answer of the data API."""
        self._set(application_id, answer=json.dumps(answer))

    def _set(self, application_id: str, **values: object) -> None:
        columns = ", ".join(f"{name} = ?" for name in values)  # names are ours, never a visitor's
        with self._open() as connection:
            connection.execute(
                f"UPDATE applications SET {columns}, changed_at = ? WHERE application_id = ?",  # noqa: S608
                (*values.values(), time.time(), application_id),
            )

    def _find(self, condition: str, *values: str) -> list[Application]:
        with self._open() as connection:
            rows = connection.execute(f"SELECT * FROM applications WHERE {condition}", values).fetchall()  # noqa: S608
        return [_application(dict(row)) for row in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self.path, timeout=5)
        connection.row_factory = sqlite3.Row
        try:
            with connection:
                yield connection
        finally:
            connection.close()


def _application(row: dict[str, Any]) -> Application:
    return Application(**row | {name: json.loads(row[name]) for name in ("token", "answer") if row[name]})


def new_reference() -> str:
    """A number for the customer to quote, and for the service's access log."""
    return f"LN{time.strftime('%Y%m%d')}-{secrets.token_hex(3).upper()}"
