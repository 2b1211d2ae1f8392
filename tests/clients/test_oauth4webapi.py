"""Reading data with oauth4webapi, the Node.js library beneath a FAPI 2.0 certified relying party."""

from collections.abc import Callable

from examples.bank.offers import OFFERS
from tests.clients import programs
from tests.clients.callback import Arrival
from tests.clients.deployment import Deployment


def test_data_is_read(deployment: Deployment, visit: Callable[[str], Arrival]) -> None:
    details = OFFERS["housing-loan"].authorization_details("LN-NODE-1")
    told = programs.run("data", deployment.bank() | {"authorization_details": details}, visit)
    assert told["items"] >= 3


def test_data_is_read_where_every_proof_needs_a_nonce(strict: Deployment, visit: Callable[[str], Arrival]) -> None:
    details = OFFERS["housing-loan"].authorization_details("LN-NODE-2")
    told = programs.run("data", strict.bank() | {"authorization_details": details}, visit)
    assert told["nonces"] >= 2  # the authorization server's and the resource's
