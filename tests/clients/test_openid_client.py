"""Signing in with openid-client, the Node.js library of an OpenID Foundation certified relying party."""

from collections.abc import Callable

import pytest

from tests.clients import programs
from tests.clients.callback import Arrival
from tests.clients.conftest import NAME
from tests.clients.deployment import Deployment

Visit = Callable[[str], Arrival]


@pytest.mark.parametrize(
    ("method", "alg"),
    [("client_secret_basic", "RS256"), ("client_secret_post", "ES256"), ("private_key_jwt", "PS256")],
)
def test_sign_in(deployment: Deployment, visit: Visit, method: str, alg: str) -> None:
    client = deployment.sign_in_client(f"node-{alg.lower()}", method=method, id_token_signed_response_alg=alg)
    told = programs.run("login", client | {"alg": alg, "name": NAME}, visit)
    assert told["sub"]
