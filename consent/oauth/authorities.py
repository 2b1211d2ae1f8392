"""Which authority sends a request: a registered client of the class ``authority``, by its own key (RFC 7523).

For the data API, which takes records from authorities and knows no clients; ``wsgi`` brings the two together.
"""

from authlib.oauth2 import OAuth2Error

from consent.clients import AuthMethod, Client, ClientClass, Standing
from consent.oauth.client_auth import InvalidClient
from consent.oauth.server import the_server
from dataspace.db import db


def authority_of_request() -> str:
    """Its client id. Raises InvalidClient: also for a client with a secret, suspended, or of another class."""
    try:
        known = the_server().authenticate_program("records")
    except OAuth2Error as error:
        raise InvalidClient(str(error.description)) from None
    client = db.session.get(Client, known.client_id)
    if client is None or client.client_class != ClientClass.AUTHORITY or client.standing != Standing.GOOD:
        raise InvalidClient("no authority")
    if client.token_endpoint_auth_method != AuthMethod.PRIVATE_KEY_JWT:
        raise InvalidClient("no key of its own")
    return client.client_id
