"""Signing in with Authlib's client for Flask, as a web application in Python has it."""

from collections.abc import Callable
from typing import Any

import pytest
from authlib.integrations.flask_client import OAuth
from flask import Flask

from tests.clients.callback import Arrival
from tests.clients.conftest import NAME
from tests.clients.deployment import Deployment


def application(client: dict[str, Any], **asked: Any) -> Flask:
    """A web application that signs people in, and says who they are. ``asked``: what its requests say besides."""
    requests = {"scope": "openid profile offline_access", "token_endpoint_auth_method": client["method"]}
    app = Flask(__name__)
    app.secret_key = "of this application only"
    oauth = OAuth(app)
    oauth.register(
        "space",
        client_id=client["client_id"],
        client_secret=client["secret"],
        server_metadata_url=f"{client['issuer']}/.well-known/openid-configuration",
        client_kwargs=requests | asked,
    )

    @app.get("/login")
    def login() -> Any:
        return oauth.space.authorize_redirect(client["redirect_uri"])

    @app.get("/callback")
    def callback() -> Any:
        tokens = oauth.space.authorize_access_token()  # with the ID token read: signature, iss, aud, nonce, at_hash
        fresh = oauth.space.fetch_access_token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
        return {
            "id_token": tokens["userinfo"],
            "userinfo": oauth.space.userinfo(token=tokens),
            "afterwards": oauth.space.userinfo(token=fresh),
        }

    return app


@pytest.mark.parametrize(
    ("method", "alg", "asked"),
    [("client_secret_basic", "RS256", {}), ("client_secret_post", "ES256", {"code_challenge_method": "S256"})],
    ids=["nonce only", "with PKCE"],
)
def test_sign_in(
    deployment: Deployment, visit: Callable[[str], Arrival], method: str, alg: str, asked: dict[str, str]
) -> None:
    client = deployment.sign_in_client(f"authlib-{alg.lower()}", method=method, id_token_signed_response_alg=alg)
    browser = application(client, **asked).test_client()
    sent = browser.get("/login").location
    assert ("code_challenge=" in sent) == bool(asked)
    told = browser.get(visit(sent).url).json
    assert told["id_token"]["sub"] == told["userinfo"]["sub"] == told["afterwards"]["sub"]
    assert told["userinfo"]["name"] == told["afterwards"]["name"] == NAME
