"""What breaks most first implementations, as far as client authentication and sender-constraining go.

The numbers are those of the protocol's list.
"""

import ssl
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from consent.clients import Profile
from dataspace import clock
from dataspace.db import db
from tests import factories
from tests.conftest import ISSUER, make_settings
from tests.consent.certified import SETTINGS, SUBJECT, Credential, authority, by_proxy, certificate
from tests.consent.third_party import LEFT_OUT, ThirdParty, tokens_for
from tests.listening import serving
from wsgi import create_app

pytestmark = pytest.mark.wire

ENDPOINTS = ("/oauth/par", "/oauth/token", "/oauth/introspect", "/oauth/revoke")


@pytest.fixture
def bank(world: factories.World, client: FlaskClient) -> ThirdParty:
    return ThirdParty(world.party, client)


def outcome(bank: ThirdParty, path: str, assertion: str) -> tuple[int, str]:
    form = bank.request() | {"token": "x", "grant_type": "refresh_token", "refresh_token": "x"}
    answer = bank.post(path, form, proof=LEFT_OUT, client_assertion=assertion)
    said = answer.json or {}
    return answer.status_code, said.get("error", "")


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    "audience",
    ["{issuer}{path}", "{issuer}/", "{issuer}/oauth/token", ["{issuer}"], ["{issuer}", "{issuer}{path}"], [], "", None],
    ids=str,
)
def test_breaks_17_the_audience_is_the_issuer_alone(bank: ThirdParty, path: str, audience: Any) -> None:
    def filled(text: Any) -> Any:
        return text.format(issuer=ISSUER, path=path) if isinstance(text, str) else text

    audience = [filled(one) for one in audience] if isinstance(audience, list) else filled(audience)
    assert outcome(bank, path, bank.assertion(aud=audience)) == (401, "invalid_client")
    assert outcome(bank, path, bank.assertion())[1] != "invalid_client"


@pytest.mark.parametrize("path", ENDPOINTS)
@pytest.mark.parametrize(
    ("changes", "accepted"),
    [
        ({"iat": 10}, True),
        ({"nbf": 10}, True),
        ({"exp": 300}, True),
        ({"iat": 65}, False),
        ({"nbf": 65}, False),
        ({"exp": -1}, False),
        ({"exp": 3600}, False),
    ],
    ids=str,
)
def test_breaks_18_clocks(bank: ThirdParty, path: str, changes: dict[str, int], accepted: bool) -> None:
    now = int(clock.now().timestamp())
    said = outcome(bank, path, bank.assertion(**{name: now + step for name, step in changes.items()}))
    assert (said[1] != "invalid_client") is accepted


def test_only_the_registered_algorithm_signs(world: factories.World, client: FlaskClient) -> None:
    row = factories.party(
        clock.now(), "shop", profile=Profile.LOGIN, method="private_key_jwt", token_endpoint_auth_signing_alg="PS256"
    )
    db.session.commit()
    refused = ThirdParty(row, client).push()
    assert (refused.status_code, refused.json["error"]) == (401, "invalid_client")


def test_breaks_24_a_refresh_token_is_not_rotated(bank: ThirdParty, world: factories.World) -> None:
    refresh = tokens_for(bank, world.actor)["refresh_token"]
    for _ in range(3):
        answer = bank.refresh(refresh)
        assert (answer.status_code, "refresh_token" in answer.json) == (200, False)


def test_breaks_28_no_token_without_proof(bank: ThirdParty, world: factories.World) -> None:
    refresh = tokens_for(bank, world.actor)["refresh_token"]
    refused = bank.refresh(refresh, proof=LEFT_OUT)
    assert (refused.status_code, refused.json["error"]) == (400, "invalid_request")


# A proxy that really ends TLS

AUTHORITY = authority()


class Proxy(BaseHTTPRequestHandler):
    """Forwards to the service, with what nginx would add; nothing that a client sends under these names passes."""

    upstream = 0

    def do_POST(self) -> None:
        shown = self.connection.getpeercert(binary_form=True)  # type: ignore[attr-defined]
        ours = by_proxy(None)
        if shown:
            ours |= {
                "Client-Cert": by_proxy(CLIENT)["Client-Cert"] if shown == CLIENT.der else "",
                "X-Client-Verify": "SUCCESS",
            }
        kept = {
            k: v for k, v in self.headers.items() if k.lower() not in {name.lower() for name in [*ours, "Client-Cert"]}
        }
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        link = HTTPConnection("127.0.0.1", self.upstream)
        link.request(self.command, self.path, body or None, kept | ours)
        answer = link.getresponse()
        said = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("content-length", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
        link.close()

    do_GET = do_POST  # noqa: N815 - the name that http.server calls

    def log_message(self, *_args: object) -> None:
        pass


CLIENT = certificate(by=AUTHORITY)


def test_breaks_27_a_reading_through_a_proxy_that_ends_tls(
    world: factories.World, database_url: str, tmp_path: Path
) -> None:
    row = factories.party(
        clock.now(), "trust", method="tls_client_auth", tls_client_auth_subject_dn=SUBJECT,
        tls_client_certificate_bound_access_tokens=True,
    )  # fmt: skip
    db.session.commit()
    site = certificate("CN=localhost", by=AUTHORITY, hosts=("localhost",))
    files = {"site": site, "client": CLIENT}
    for name, held in files.items():
        (tmp_path / name).write_text(held.pem + held.key_pem)
    inner = make_server("127.0.0.1", 0, create_app(make_settings(database_url, **SETTINGS)), threaded=True)
    outer = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "site")
    context.load_verify_locations(cadata=AUTHORITY.pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    outer.socket = context.wrap_socket(outer.socket, server_side=True)
    with serving(inner), serving(outer):
        Proxy.upstream = inner.server_port
        base = f"https://localhost:{outer.server_port}"
        form = {"client_id": row.client.client_id, "token": "x"}
        injected = {"Client-Cert": by_proxy(CLIENT)["Client-Cert"], "X-Client-Verify": "SUCCESS"}
        with _client(tmp_path, CLIENT) as holder, _client(tmp_path, None) as stranger:
            known = holder.post(f"{base}/oauth/introspect", data=form)
            unknown = stranger.post(f"{base}/oauth/introspect", data=form, headers=injected)
            refused = stranger.get(f"{base}/api/v1/data", headers={"Authorization": "Bearer x"})
    assert (known.status_code, known.json()) == (200, {"active": False})
    assert (unknown.status_code, unknown.json()["error"]) == (401, "invalid_client")
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")
    assert "json" in refused.headers["Content-Type"]
    assert refused.headers["Date"].endswith("GMT")


def _client(folder: Path, shows: Credential | None) -> httpx.Client:
    context = ssl.create_default_context(cadata=AUTHORITY.pem)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if shows:
        context.load_cert_chain(folder / "client")
    return httpx.Client(verify=context, trust_env=False)
