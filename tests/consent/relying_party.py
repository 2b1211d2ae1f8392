"""A relying party as its users meet it: sends a browser to sign in, takes what comes back, asks userinfo."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from werkzeug.test import TestResponse

from dataspace import clock, jose
from dataspace.holders import Holder
from tests import factories
from tests.conftest import ISSUER
from tests.consent.third_party import ThirdParty, parameters_of
from tests.consent.visitor import Page, Visitor


def arrive(third: ThirdParty, visitor: Visitor, **changes: Any) -> Page:
    """The browser follows the link to sign in; the page where it ends."""
    return visitor.get(third.authorize_url(**changes))


def answer_of(page: Page) -> dict[str, str]:
    """What the page between us and the relying party, or a redirect, carries back."""
    if page.response.location:
        return parameters_of(page.response.location)
    links = [href for _words, href in page.links if href.startswith(factories.REDIRECT_URI)]
    assert links, page.says
    return parameters_of(links[0])


def signed_in(third: ThirdParty, person: Holder, **changes: Any) -> dict[str, Any]:
    """The token response after the person has signed in here and agreed."""
    visitor = Visitor(third.http.application.test_client()).sign_in(person, clock.now())
    page = arrive(third, visitor, **changes)
    page = visitor.tap("Agree") if page.offers("Agree") else page
    answer = third.token(answer_of(page)["code"])
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json
    return found


def asks_to_sign_in(visitor: Visitor) -> bool:
    """Whether the browser stands on the sign-in page."""
    return urlsplit(visitor.path).path == "/signin"


def sign_in_again(visitor: Visitor, person: Holder) -> Page:
    """On the sign-in page: prove the passkey and go where it leads."""
    assert asks_to_sign_in(visitor), visitor.path
    back = parse_qs(urlsplit(visitor.path).query)["next"][0]
    visitor.sign_in(person, clock.now())
    return visitor.get(back)


def claims_of(third: ThirdParty, token: str) -> dict[str, Any]:
    """The claims of a JWT, verified with the published keys as a library of the field does."""
    published = third.http.get("/oauth/jwks").json["keys"]
    header = jose.read(token).header
    keys = [key for key in published if key["kid"] == header["kid"]]
    assert len(keys) == 1
    verified = jose.verify(
        token, keys, algorithms=[header["alg"]], expected_typ="JWT", expected_iss=ISSUER,
        expected_aud=third.client_id, now=clock.now(),
    )  # fmt: skip
    return verified.claims


def user_info(third: ThirdParty, token: str) -> TestResponse:
    return third.http.get("/userinfo", headers={"Authorization": f"Bearer {token}"})
