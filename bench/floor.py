"""The floor: bare Flask routes with the raw driver, as many statements and signature checks as the service makes.

No SQLAlchemy, no Authlib, no session, no error handling: what the framework, the server, the database and the
signatures cost by themselves. Served by the same granian with the same workers on the same database.
"""

import base64
import datetime as dt
import hashlib
import json
import os
import secrets
import sqlite3
import threading
from typing import Any

import jwt
import orjson
import psycopg
from flask import Flask, Response, request

URL = os.environ.get("DATASPACE_DATABASE_URL", "")
LITE = URL.startswith("sqlite")
FOUND = """t.consent_id, t.client_id, t.jkt, t.expires_at, c.state, c.expires_at, c.space_id, c.version,
    v.granted, k.standing, k.legal_name, h.closed_at, m.ended_at,
    (SELECT coalesce(max(read_no), 0) FROM accesses a WHERE a.consent_id = c.consent_id)"""
WHERE = """FROM tokens t JOIN consents c ON c.consent_id = t.consent_id
    JOIN consent_versions v ON v.consent_id = c.consent_id AND v.version = c.version
    JOIN clients k ON k.client_id = c.client_id JOIN holders h ON h.holder_id = c.holder_id
    LEFT JOIN mandates m ON m.mandate_id = c.mandate_id WHERE t.digest = ?"""
TOKEN = f"SELECT {FOUND} {WHERE}"
CODE = TOKEN.replace("tokens t", "authorization_codes t")
CLIENT = "SELECT client_id, jwks, standing, profile FROM clients WHERE client_id = ?"
JTI = "INSERT INTO seen_jtis (digest, expires_at) VALUES (?, ?) ON CONFLICT DO NOTHING"
RECORDS = """SELECT i.item_id, i.version, i.authority, i.fields, r.record_id, r.as_of, r.digest, r.sealed, k.wrapped
    FROM records r JOIN data_items i ON i.item_id = r.item_id AND i.version = r.item_version
    JOIN data_keys k ON k.space_id = r.space_id
    WHERE r.space_id = ? AND r.superseded_at IS NULL AND r.item_id IN (?)"""
ACCESS = """INSERT INTO accesses (at, space_id, consent_id, consent_version, client_id, recipient, purpose, item_ids,
    action, outcome, delivery_id) VALUES (?, ?, ?, 1, ?, 'bank', 'review', ?, 'read', 'answered', ?)"""
ENTRY = "INSERT INTO evidence_waiting (key, entry) VALUES (?, ?)"
# As the service does it: the proof is remembered with the question for the token, and both rows go in one statement.
FIND = f"{JTI} RETURNING (SELECT json_array({FOUND}) {WHERE})" if LITE else f"WITH seen AS ({JTI}) {TOKEN}"
BOTH = f"WITH entered AS ({ENTRY}) {ACCESS}"
if LITE:
    BOTH = """INSERT INTO accesses_entered (entry_key, entry_digest, at, space_id, consent_id, consent_version,
    client_id, recipient, purpose, item_ids, action, outcome, delivery_id)
    VALUES (?, ?, ?, ?, ?, 1, ?, 'bank', 'review', ?, 'read', 'answered', ?)"""
USE = "UPDATE authorization_codes SET used_at = ? WHERE digest = ? AND used_at IS NULL"
ISSUE = """INSERT INTO tokens (digest, kind, consent_id, client_id, scope, jkt, resource, auth_time, acr, amr, family,
    issued_at, expires_at) VALUES (?, ?, ?, ?, '', ?, '', ?, 'acr', 'amr', ?, ?, ?)"""
PURPOSE = """SELECT text, holder_kinds, mode, max_duration_days, default_duration_days, items, third_parties,
    approved_at FROM purposes WHERE client_id = ? AND code = ?"""
PUSH = """INSERT INTO authorization_requests (handle, uri_digest, client_id, parameters, ask, choices, created_at,
    expires_at) VALUES (?, ?, ?, ?, ?, '{}', ?, ?)"""
_local = threading.local()


def connection() -> Any:
    """This thread's connection."""
    if not hasattr(_local, "connection"):
        _local.connection = _lite() if LITE else psycopg.connect(URL.replace("+psycopg", ""))
    return _local.connection


def _lite() -> sqlite3.Connection:
    opened = sqlite3.connect(URL.removeprefix("sqlite:///"))
    opened.execute("PRAGMA synchronous=NORMAL")
    opened.execute("PRAGMA busy_timeout=5000")
    opened.execute("PRAGMA cache_size=-32768")
    return opened


def sql(statement: str) -> str:
    """The statement with the driver's placeholders."""
    return statement if LITE else statement.replace("?", "%s")


def when(moment: dt.datetime) -> object:
    """A moment as the driver stores it."""
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f") if LITE else moment


def check(token: str, key: Any = None) -> dict[str, Any]:
    """Check one ES256 signature, with the key in its header if none is given."""
    if key is None:
        head = token.split(".", 1)[0]
        key = jwt.PyJWK(json.loads(base64.urlsafe_b64decode(head + "=="))["jwk"]).key
    options: Any = {"verify_aud": False}
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["ES256"], options=options)
    return claims


def remember(db: Any, jti: str, now: dt.datetime) -> None:
    """One jti."""
    db.execute(sql(JTI), (hashlib.sha256(jti.encode()).digest(), when(now + dt.timedelta(minutes=2))))


def find(db: Any, token: str, jti: str, now: dt.datetime) -> Any:
    """What a read asks first, and its proof remembered."""
    digest = hashlib.sha256(token.encode()).digest()
    seen = (hashlib.sha256(jti.encode()).digest(), when(now + dt.timedelta(minutes=2)), digest)
    row = db.execute(sql(FIND), seen).fetchone()
    return orjson.loads(row[0]) if LITE else row


def issue(db: Any, kind: str, row: Any, assertion: dict[str, Any], digest: bytes, now: dt.datetime) -> str:
    """One token."""
    secret = secrets.token_urlsafe(32)
    values = (kind, row[0], assertion["iss"], row[2], when(now), digest, when(now), when(now))
    db.execute(sql(ISSUE), (hashlib.sha256(secret.encode()).digest(), *values))
    return secret


def create_app() -> Flask:
    """One route for each operation."""
    app = Flask(__name__)

    @app.teardown_request
    def end(error: BaseException | None) -> None:
        if error is not None:
            connection().rollback()  # or the others would wait for this one's lock

    @app.get("/read")
    def read() -> Response:
        db, now = connection(), dt.datetime.now(dt.UTC)
        proof = check(request.headers["DPoP"])
        row = find(db, request.headers["Authorization"][5:], proof["jti"], now)
        records = db.execute(sql(RECORDS), (row[6], "p.edu.degree")).fetchall()
        items = json.dumps(["p.edu.degree"])
        access = (when(now), row[6], row[0], row[1], items, "dlv_" + secrets.token_hex(12))
        digest = hashlib.sha256(secrets.token_bytes(16) + items.encode()).digest()
        entry = (int(now.timestamp() * 1000).to_bytes(6, "big") + digest[:10], digest)
        db.execute(sql(BOTH), entry + access)
        db.commit()
        body = {"items": [{"item": r[0], "version": r[1], "as_of": str(r[5]), "digest": r[6]} for r in records]}
        return Response(orjson.dumps(body), mimetype="application/json")

    @app.post("/token")
    def token() -> Response:
        db, now = connection(), dt.datetime.now(dt.UTC)
        assertion = _assertion(db, now)
        proof = check(request.headers["DPoP"])
        digest = hashlib.sha256(request.form["code"].encode()).digest()
        row = db.execute(sql(CODE), (digest,)).fetchone()
        remember(db, proof["jti"], now)
        db.execute(sql(USE), (when(now), digest))
        issued = [issue(db, kind, row, assertion, digest, now) for kind in ("access", "refresh")]
        db.commit()
        return Response(orjson.dumps({"access_token": issued[0], "refresh_token": issued[1]}))

    @app.post("/refresh")
    def refresh() -> Response:
        db, now = connection(), dt.datetime.now(dt.UTC)
        assertion = _assertion(db, now)
        proof = check(request.headers["DPoP"])
        digest = hashlib.sha256(request.form["refresh_token"].encode()).digest()
        row = db.execute(sql(TOKEN), (digest,)).fetchone()
        remember(db, proof["jti"], now)
        access = issue(db, "access", row, assertion, digest, now)
        db.commit()
        return Response(orjson.dumps({"access_token": access}))

    @app.post("/par")
    def par() -> Response:
        db, now = connection(), dt.datetime.now(dt.UTC)
        client_id = _assertion(db, now)["iss"]
        details = json.loads(request.form["authorization_details"])[0]
        purpose = db.execute(sql(PURPOSE), (client_id, details["purpose"])).fetchone()
        uri = secrets.token_urlsafe(32)
        parameters = json.dumps({"redirect_uri": request.form["redirect_uri"], "state": request.form["state"]})
        values = (client_id, parameters, json.dumps({"mode": purpose[2]}), when(now), when(now))
        db.execute(sql(PUSH), ("req_" + secrets.token_hex(12), hashlib.sha256(uri.encode()).hexdigest(), *values))
        db.commit()
        return Response(orjson.dumps({"request_uri": uri, "expires_in": 90}), 201)

    @app.get("/userinfo")
    def userinfo() -> Response:
        db, now = connection(), dt.datetime.now(dt.UTC)
        proof = check(request.headers["DPoP"])
        digest = hashlib.sha256(request.headers["Authorization"][5:].encode()).digest()
        row = db.execute(sql(TOKEN), (digest,)).fetchone()
        remember(db, proof["jti"], now)
        db.commit()
        return Response(orjson.dumps({"sub": row[0]}))

    @app.post("/introspect")
    def introspect() -> Response:
        db, now = connection(), dt.datetime.now(dt.UTC)
        _assertion(db, now)
        digest = hashlib.sha256(request.form["token"].encode()).digest()
        row = db.execute(sql(TOKEN), (digest,)).fetchone()
        db.commit()
        return Response(orjson.dumps({"active": True, "client_id": row[1], "grant_id": row[0]}))

    return app


def _assertion(db: Any, now: dt.datetime) -> dict[str, Any]:
    """One client assertion: client looked up, signature checked, jti remembered."""
    text = request.form["client_assertion"]
    row = db.execute(sql(CLIENT), (request.form["client_id"],)).fetchone()
    jwks = row[1] if isinstance(row[1], dict) else json.loads(row[1])
    claims = check(text, jwt.PyJWK(jwks["keys"][0]).key)
    remember(db, claims["jti"], now)
    return claims
