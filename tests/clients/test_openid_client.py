"""Signing in with openid-client, the Node.js library of an OpenID Foundation certified relying party."""

from collections.abc import Callable

import pytest

from tests.clients import programs
from tests.clients.callback import NOTICES, Arrival
from tests.clients.conftest import NAME
from tests.clients.deployment import Deployment

Visit = Callable[[str], Arrival]


@pytest.mark.parametrize(
    ("method", "alg"),
    [("client_secret_basic", "RS256"), ("client_secret_post", "ES256"), ("private_key_jwt", "PS256")],
)
def test_sign_in(deployment: Deployment, visit: Visit, method: str, alg: str) -> None:
    client = deployment.sign_in_client(f"node-{alg.lower()}", method=method, id_token_signed_response_alg=alg)
    told = programs.run("login", client | {"request": "plain", "alg": alg, "name": NAME}, visit)
    assert told["sub"]


@pytest.mark.parametrize(
    ("request_by", "answer_by", "dpop"),
    [("pushed", "form_post", True), ("signed", "jwt", False), ("plain", "form_post.jwt", True)],
)
def test_other_ways_there_and_back(
    deployment: Deployment, visit: Visit, request_by: str, answer_by: str, dpop: bool
) -> None:
    jarm = "ES256" if answer_by.endswith("jwt") else None
    client = deployment.sign_in_client(
        f"node-{request_by}",
        options={
            "authorization_signed_response_alg": jarm or "",
            "require_signed_request_object": request_by == "signed",
            "require_pushed_authorization_requests": request_by == "pushed",
            "dpop_bound_access_tokens": dpop,
        },
    )
    ways = {"request": request_by, "dpop": dpop, "jarm": jarm, "parameters": {"response_mode": answer_by}}
    told = programs.run("login", client | ways | {"alg": "RS256", "name": NAME}, visit)
    assert told["sub"]


def test_sign_in_of_a_client_that_registers_itself(deployment: Deployment, visit: Visit) -> None:
    told = programs.run("login", deployment.invitation() | {"request": "plain", "alg": "ES256", "name": NAME}, visit)
    assert told["sub"]


def test_sign_in_where_every_proof_needs_a_nonce(strict: Deployment, visit: Visit) -> None:
    client = strict.sign_in_client("node-nonces", options={"dpop_bound_access_tokens": True})
    told = programs.run("login", client | {"request": "pushed", "dpop": True, "alg": "RS256", "name": NAME}, visit)
    assert told["sub"]


def test_sign_out(deployment: Deployment, visit: Visit) -> None:
    left = f"{deployment.callback.origin}/left"
    client = deployment.sign_in_client(
        "node-logout",
        options={
            "post_logout_redirect_uris": [left],
            "backchannel_logout_uri": f"{deployment.callback.origin}{NOTICES}",
            "backchannel_logout_session_required": True,
        },
    )
    programs.run("logout", client | {"post_logout_redirect_uri": left}, visit, deployment.callback.hear)
