"""What every endpoint refuses: one line each, with the status and the error code that its specification gives it.

All of them are sent into one world (:mod:`tests.consent.refusals`) and none leaves a trace in it. Cases that need a
world of their own, because they change it, stand beside their feature: replays, expiry, withdrawn consents.
"""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from dataspace.db import db
from tests import factories
from tests.conftest import ISSUER, fresh_database, make_settings
from tests.consent.refusals import (
    Case,
    Scene,
    Send,
    ask,
    assertion,
    basic,
    exchange,
    exchange_by_secret,
    introspect,
    presenting,
    proof,
    push,
    raw,
    renew,
    revoke,
    stage,
)
from tests.consent.third_party import LEFT_OUT, parameters_of
from wsgi import create_app

pytestmark = pytest.mark.wire

AT_LEAST = 150
FORM = "application/x-www-form-urlencoded"
DATA = "/api/v1/data"
UNKNOWN = "dsa_at_" + "x" * 43
PROVED = proof("POST", "/oauth/token")


@pytest.fixture(scope="module")
def scene(server_url: str | None, empty_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with fresh_database(server_url, empty_template, tmp_path_factory.mktemp("negatives")) as url:
        app: Flask = create_app(make_settings(url))
        with app.app_context():
            staged = stage(app)
            db.session.remove()
        yield staged
        with app.app_context():
            db.engine.dispose()


Rows = dict[str, tuple[Send, int, str]]

# How a client authenticates, the same at four endpoints (RFC 6749 section 2.3, RFC 7523 section 3, FAPI 2.0)


def unauthenticated(send: Any) -> Rows:
    """``send(**changes)`` makes the endpoint's right request with changes."""
    nothing: dict[str, Any] = {"client_assertion": LEFT_OUT, "client_assertion_type": LEFT_OUT}
    return {
        "no authentication": (send(**nothing), 401, "invalid_client"),
        "a client_id alone": (send(**nothing, client_id="bank"), 401, "invalid_client"),
        "an unknown client's id": (send(**nothing, client_id="nobody"), 401, "invalid_client"),
        "a secret of a client that has keys": (
            send(**nothing, client_id="bank", client_secret="x"), 401, "invalid_client",
        ),
        "a secret beside the assertion": (send(client_secret="x"), 400, "invalid_request"),
        "an assertion without its type": (send(client_assertion_type=LEFT_OUT), 401, "invalid_client"),
        "the type without an assertion": (send(client_assertion=LEFT_OUT), 401, "invalid_client"),
        "an assertion of another type": (
            send(client_assertion_type="urn:ietf:params:oauth:client-assertion-type:saml2-bearer"),
            401, "invalid_client",
        ),
        "an assertion that is no token": (send(client_assertion="assertion"), 401, "invalid_client"),
        "an unsigned assertion": (send(client_assertion="eyJhbGciOiJub25lIn0.e30."), 401, "invalid_client"),
        "an assertion by a stranger's key": (
            send(client_assertion=lambda s: s.bank.assertion(key=s.stranger)), 401, "invalid_client",
        ),
        "an assertion by another client's key": (
            send(client_assertion=lambda s: s.bank.assertion(key=s.mart.party.key)), 401, "invalid_client",
        ),
        "an assertion for this endpoint": (
            send(client_assertion=assertion(aud=f"{ISSUER}/oauth/token")), 401, "invalid_client",
        ),
        "an assertion for two audiences": (
            send(client_assertion=assertion(aud=[ISSUER, "https://evil.example"])), 401, "invalid_client",
        ),
        "an assertion for the issuer with a slash": (
            send(client_assertion=assertion(aud=f"{ISSUER}/")), 401, "invalid_client",
        ),
        "an assertion in another's name": (send(client_assertion=assertion(sub="mart")), 401, "invalid_client"),
        "an assertion of another issuer": (send(client_assertion=assertion(iss="mart")), 401, "invalid_client"),
        "an assertion without exp": (send(client_assertion=assertion(exp=LEFT_OUT)), 401, "invalid_client"),
        "an assertion that has expired": (send(client_assertion=assertion(exp=-1)), 401, "invalid_client"),
        "an assertion that lives an hour": (send(client_assertion=assertion(exp=3600)), 401, "invalid_client"),
        "an assertion from the future": (send(client_assertion=assertion(iat=120)), 401, "invalid_client"),
        "an assertion not valid yet": (send(client_assertion=assertion(nbf=120)), 401, "invalid_client"),
        "an assertion without jti": (send(client_assertion=assertion(jti=LEFT_OUT)), 401, "invalid_client"),
        "a DPoP proof for an assertion": (send(client_assertion=PROVED), 401, "invalid_client"),
        "another client's client_id": (send(client_id="mart"), 401, "invalid_client"),
    }  # fmt: skip


def malformed(path: str) -> Rows:
    """Bodies that are no form (RFC 6749 appendix B)."""
    return {
        "JSON for a form": (raw("POST", path, json={"client_id": "bank"}), 400, "invalid_request"),
        "no body": (raw("POST", path), 400, "invalid_request"),
        "a multipart body": (
            raw("POST", path, data={"client_id": "bank"}, content_type="multipart/form-data"), 400, "invalid_request",
        ),
        "a broken escape": (raw("POST", path, data="token=%zz", content_type=FORM), 400, "invalid_request"),
        "a body that is not UTF-8": (raw("POST", path, data=b"token=%ff", content_type=FORM), 400, "invalid_request"),
        "a parameter twice": (
            raw("POST", path, data="client_id=bank&client_id=bank", content_type=FORM), 400, "invalid_request",
        ),
        "a thousand parameters": (
            raw("POST", path, data="&".join(f"p{n}=1" for n in range(1000)), content_type=FORM), 400, "invalid_request",
        ),
        "a line break in a value": (raw("POST", path, data="a=b%0d%0ac", content_type=FORM), 400, "invalid_request"),
        "parameters in the address": (
            raw("POST", f"{path}?client_id=bank&client_secret=x", data="grant_type=refresh_token", content_type=FORM),
            401, "invalid_client",
        ),
    }  # fmt: skip


PUSHED: Rows = {
    "no redirect_uri": (push(redirect_uri=LEFT_OUT), 400, "invalid_request"),
    "a redirect_uri of another": (push(redirect_uri="https://evil.example/callback"), 400, "invalid_request"),
    "a redirect_uri with a query more": (push(redirect_uri=f"{factories.REDIRECT_URI}?a=b"), 400, "invalid_request"),
    "a redirect_uri with a path more": (push(redirect_uri=f"{factories.REDIRECT_URI}/a"), 400, "invalid_request"),
    "a redirect_uri with a fragment": (push(redirect_uri=f"{factories.REDIRECT_URI}#a"), 400, "invalid_request"),
    "a redirect_uri as a subdomain": (
        push(redirect_uri="https://bank.example.evil.example/callback"), 400, "invalid_request",
    ),
    "a redirect_uri with a user": (push(redirect_uri="https://bank.example@evil.example/"), 400, "invalid_request"),
    "a redirect_uri with dots": (push(redirect_uri="https://bank.example/x/../callback"), 400, "invalid_request"),
    "http for https": (push(redirect_uri="http://bank.example/callback"), 400, "invalid_request"),
    "no response_type": (push(response_type=LEFT_OUT), 400, "invalid_request"),
    "the implicit flow": (push(response_type="token"), 400, "unsupported_response_type"),
    "an ID token through the browser": (push(response_type="id_token"), 400, "unsupported_response_type"),
    "the hybrid flow": (push(response_type="code token"), 400, "unsupported_response_type"),
    "an unknown response_mode": (push(response_mode="carrier.pigeon"), 400, "invalid_request"),
    "no code_challenge": (push(code_challenge=LEFT_OUT), 400, "invalid_request"),
    "a plain code_challenge": (push(code_challenge_method="plain"), 400, "invalid_request"),
    "no code_challenge_method": (push(code_challenge_method=LEFT_OUT), 400, "invalid_request"),
    "s256 in small letters": (push(code_challenge_method="s256"), 400, "invalid_request"),
    "a short code_challenge": (push(code_challenge="abc"), 400, "invalid_request"),
    "a padded code_challenge": (push(code_challenge="a" * 43 + "="), 400, "invalid_request"),
    "a request_uri": (push(request_uri="urn:ietf:params:oauth:request_uri:x"), 400, "invalid_request"),
    "an unknown scope": (push(scope="openid all"), 400, "invalid_scope"),
    "an unknown resource": (push(resource="https://other.example"), 400, "invalid_target"),
    "an unknown prompt": (push(prompt="shout"), 400, "invalid_request"),
    "prompt none and consent": (push(prompt="none consent"), 400, "invalid_request"),
    "a max_age below zero": (push(max_age="-1"), 400, "invalid_request"),
    "a dpop_jkt that is none": (push(dpop_jkt="key"), 400, "invalid_request"),
    "a dpop_jkt of another key": (
        push(dpop_jkt="a" * 43, proof=proof("POST", "/oauth/par")), 400, "invalid_dpop_proof",
    ),
    "a proof for another address": (push(proof=proof("POST", "/oauth/token")), 400, "invalid_dpop_proof"),
    "a proof for another method": (push(proof=proof("GET", "/oauth/par")), 400, "invalid_dpop_proof"),
    "no authorization_details": (push(authorization_details=LEFT_OUT), 400, "invalid_authorization_details"),
    "authorization_details of another type": (
        push(authorization_details='[{"type": "payment"}]'), 400, "invalid_authorization_details",
    ),
    "authorization_details that are an object": (
        push(authorization_details='{"type": "data_space_access"}'), 400, "invalid_authorization_details",
    ),
    "an empty list of authorization_details": (push(authorization_details="[]"), 400, "invalid_authorization_details"),
    "an unregistered purpose": (
        push(authorization_details='[{"type": "data_space_access", "purpose": "snooping"}]'),
        400, "invalid_authorization_details",
    ),
    "an unknown member of authorization_details": (
        push(authorization_details='[{"type": "data_space_access", "purpose": "loan-review", "all": true}]'),
        400, "invalid_authorization_details",
    ),
    "an unknown grant_management_action": (push(grant_management_action="merge"), 400, "invalid_request"),
    "replace without a grant_id": (push(grant_management_action="replace"), 400, "invalid_request"),
    "replace with an unknown grant_id": (
        push(grant_management_action="replace", grant_id="cns_unknown"), 400, "invalid_grant_id",
    ),
    **unauthenticated(push),
    **malformed("/oauth/par"),
}  # fmt: skip

# Errors with status 303 go to the client with state and iss; those with 400 stay on a page of ours.
ASKED: Rows = {
    "nothing": (raw("GET", "/authorize"), 400, "invalid_client"),
    "no client_id": (ask(client_id=LEFT_OUT), 400, "invalid_client"),
    "an unknown client_id": (ask(client_id="nobody"), 400, "invalid_client"),
    "no redirect_uri": (ask(redirect_uri=LEFT_OUT), 400, "invalid_request"),
    "a redirect_uri of another": (ask(redirect_uri="https://evil.example/"), 400, "invalid_request"),
    "a redirect_uri with a query more": (ask(redirect_uri=f"{factories.REDIRECT_URI}?a=b"), 400, "invalid_request"),
    "a redirect_uri with a fragment": (ask(redirect_uri=f"{factories.REDIRECT_URI}#a"), 400, "invalid_request"),
    "a redirect_uri that is a script": (ask(redirect_uri="javascript:alert(1)"), 400, "invalid_request"),
    "a redirect_uri that is data": (ask(redirect_uri="data:text/html,<script>1</script>"), 400, "invalid_request"),
    "a redirect_uri without scheme": (ask(redirect_uri="//evil.example/callback"), 400, "invalid_request"),
    "a redirect_uri with a backslash": (ask(redirect_uri="https://bank.example\\@evil.test"), 400, "invalid_request"),
    "a line break in the state": (ask(state="a\nb"), 400, "invalid_request"),
    "a parameter twice": (
        lambda s: s.shop.http.get(s.shop.authorize_url() + "&scope=openid"), 400, "invalid_request",
    ),
    "an unknown request_uri": (
        raw("GET", "/authorize?client_id=bank&request_uri=urn:ietf:params:oauth:request_uri:x"),
        400, "invalid_request_uri",
    ),
    "a broken escape": (raw("GET", "/authorize?client_id=%zz"), 400, "invalid_request"),
    "data past the pushed request": (
        lambda s: s.bank.http.get("/authorize", query_string=s.bank.request()), 303, "invalid_request",
    ),
    "no response_type": (ask(response_type=LEFT_OUT), 303, "invalid_request"),
    "the implicit flow": (ask(response_type="token"), 303, "unsupported_response_type"),
    "the implicit flow of OpenID": (ask(response_type="id_token token"), 303, "unsupported_response_type"),
    "the hybrid flow": (ask(response_type="code id_token"), 303, "unsupported_response_type"),
    "no response at all": (ask(response_type="none"), 303, "unsupported_response_type"),
    "an unknown response_mode": (ask(response_mode="carrier.pigeon"), 303, "invalid_request"),
    "a code_challenge_method without a challenge": (ask(code_challenge=LEFT_OUT), 303, "invalid_request"),
    "a plain code_challenge": (ask(code_challenge_method="plain"), 303, "invalid_request"),
    "no code_challenge_method": (ask(code_challenge_method=LEFT_OUT), 303, "invalid_request"),
    "a short code_challenge": (ask(code_challenge="abc"), 303, "invalid_request"),
    "no scope": (ask(scope=LEFT_OUT), 303, "invalid_scope"),
    "a scope without openid": (ask(scope="profile"), 303, "invalid_scope"),
    "an unknown resource": (ask(resource="https://other.example"), 303, "invalid_target"),
    "a resource with a fragment": (ask(resource=f"{ISSUER}#a"), 303, "invalid_target"),
    "an unknown prompt": (ask(prompt="shout"), 303, "invalid_request"),
    "prompt none and login": (ask(prompt="none login"), 303, "invalid_request"),
    "a max_age in words": (ask(max_age="soon"), 303, "invalid_request"),
    "a max_age below zero": (ask(max_age="-1"), 303, "invalid_request"),
    "a long nonce": (ask(nonce="n" * 501), 303, "invalid_request"),
    "a long state": (ask(state="s" * 1025), 303, "invalid_request"),
    "a dpop_jkt that is none": (ask(dpop_jkt="key"), 303, "invalid_request"),
    "authorization_details": (
        ask(authorization_details='[{"type": "data_space_access", "purpose": "loan-review"}]'),
        303, "invalid_authorization_details",
    ),
    "a grant, from one who signs people in": (
        ask(grant_management_action="replace", grant_id="cns_unknown"), 303, "invalid_request",
    ),
}  # fmt: skip

EXCHANGED: Rows = {
    "no grant_type": (exchange(grant_type=LEFT_OUT), 400, "invalid_request"),
    "a password": (exchange(grant_type="password", username="a", password="b"), 400, "unsupported_grant_type"),
    "client credentials": (exchange(grant_type="client_credentials"), 400, "unauthorized_client"),
    "the implicit grant": (exchange(grant_type="implicit"), 400, "unsupported_grant_type"),
    "no code": (exchange(code=LEFT_OUT), 400, "invalid_request"),
    "an unknown code": (exchange(code="dsa_ac_unknown"), 400, "invalid_grant"),
    "an access token for a code": (exchange(code=lambda s: s.access), 400, "invalid_grant"),
    "another client's code": (lambda s: s.mart.token(s.code, code_verifier=s.bank.verifier), 400, "invalid_grant"),
    "another client's code, by a secret": (
        lambda s: s.shop.token(s.code, code_verifier=s.bank.verifier), 400, "invalid_grant",
    ),
    "no redirect_uri": (exchange(redirect_uri=LEFT_OUT), 400, "invalid_grant"),
    "another redirect_uri": (exchange(redirect_uri="https://evil.example/"), 400, "invalid_grant"),
    "no code_verifier": (exchange(code_verifier=LEFT_OUT), 400, "invalid_request"),
    "another code_verifier": (exchange(code_verifier="v" * 43), 400, "invalid_grant"),
    "the code_challenge for the code_verifier": (
        exchange(code_verifier=lambda s: s.bank.request()["code_challenge"]), 400, "invalid_grant",
    ),
    "a short code_verifier": (exchange(code_verifier="v" * 42), 400, "invalid_request"),
    "a long code_verifier": (exchange(code_verifier="v" * 129), 400, "invalid_request"),
    "a resource that was not asked": (exchange(resource="https://other.example"), 400, "invalid_target"),
    "no proof": (exchange(proof=LEFT_OUT), 400, "invalid_request"),
    "a proof that is no token": (exchange(proof="proof"), 400, "invalid_dpop_proof"),
    "a proof for another address": (exchange(proof=proof("POST", "/oauth/par")), 400, "invalid_dpop_proof"),
    "a proof for another host": (
        exchange(proof=proof("POST", "", htu="https://evil.example/oauth/token")), 400, "invalid_dpop_proof",
    ),
    "a proof for another method": (exchange(proof=proof("GET", "/oauth/token")), 400, "invalid_dpop_proof"),
    "an old proof": (exchange(proof=proof("POST", "/oauth/token", iat=-120)), 400, "invalid_dpop_proof"),
    "a proof from the future": (exchange(proof=proof("POST", "/oauth/token", iat=120)), 400, "invalid_dpop_proof"),
    "a proof without jti": (exchange(proof=proof("POST", "/oauth/token", jti=LEFT_OUT)), 400, "invalid_dpop_proof"),
    "an assertion for a proof": (exchange(proof=assertion()), 400, "invalid_dpop_proof"),
    "a wrong secret": (
        raw("POST", "/oauth/token", data={"grant_type": "authorization_code"}, headers=basic("shop", "guess")),
        401, "invalid_client",
    ),
    "an empty secret": (
        raw("POST", "/oauth/token", data={"grant_type": "authorization_code"}, headers=basic("shop", "")),
        401, "invalid_client",
    ),
    "Basic that is not base64": (
        raw("POST", "/oauth/token", data={"grant_type": "authorization_code"}, headers={"Authorization": "Basic ?"}),
        401, "invalid_client",
    ),
    "a scheme that is not known": (
        raw("POST", "/oauth/token", data={"grant_type": "authorization_code"}, headers={"Authorization": "Digest x"}),
        401, "invalid_client",
    ),
    "the right secret, but no code": (
        lambda s: s.app.test_client().post(
            "/oauth/token",
            data={"grant_type": "authorization_code", "client_id": "shop", "client_secret": s.shop.party.secret},
        ),
        400, "invalid_request",
    ),
    "a secret twice": (exchange_by_secret(client_id="shop", client_secret="x"), 400, "invalid_request"),
    "another shop's redirect_uri": (exchange_by_secret(redirect_uri="https://evil.example/"), 400, "invalid_grant"),
    "no code_verifier from a shop": (exchange_by_secret(code_verifier=LEFT_OUT), 400, "invalid_request"),
    "a code_verifier where no challenge was": (lambda s: s.shop.token(s.bare_code), 400, "invalid_request"),
    **unauthenticated(exchange),
    **malformed("/oauth/token"),
}  # fmt: skip

RENEWED: Rows = {
    "no refresh_token": (renew(refresh_token=LEFT_OUT), 400, "invalid_request"),
    "an unknown refresh_token": (renew(refresh_token="dsa_rt_unknown"), 400, "invalid_grant"),
    "an access token for a refresh_token": (renew(refresh_token=lambda s: s.access), 400, "invalid_grant"),
    "a code for a refresh_token": (renew(refresh_token=lambda s: s.code), 400, "invalid_grant"),
    "another client's refresh_token": (lambda s: s.mart.refresh(s.refresh), 400, "invalid_grant"),
    "another client's refresh_token, by a secret": (lambda s: s.shop.refresh(s.refresh), 400, "invalid_grant"),
    "a wider scope": (renew(scope="openid offline_access"), 400, "invalid_scope"),
    "a resource that was not asked": (renew(resource="https://other.example"), 400, "invalid_target"),
    "no proof": (renew(proof=LEFT_OUT), 400, "invalid_request"),
    "a proof for another address": (renew(proof=proof("POST", "/userinfo")), 400, "invalid_dpop_proof"),
}  # fmt: skip

INTROSPECTED: Rows = {
    "no token": (introspect(token=LEFT_OUT), 400, "invalid_request"),
    "an empty token": (introspect(token=""), 400, "invalid_request"),
    **unauthenticated(introspect),
    **malformed("/oauth/introspect"),
}
# RFC 7662 section 2.2: what a client may not know of is told like what does not exist.
UNTOLD: Rows = {
    "an unknown token": (introspect(token=UNKNOWN), 200, ""),
    "garbage": (introspect(token="令牌"), 200, ""),
    "a code": (introspect(token=lambda s: s.code), 200, ""),
    "another client's access token": (lambda s: s.mart.introspect(s.access), 200, ""),
    "another client's refresh token": (lambda s: s.mart.introspect(s.refresh), 200, ""),
    "the bank's token, asked by a shop": (lambda s: s.shop.introspect(s.access), 200, ""),
}

REVOKED: Rows = {
    "no token": (revoke(token=LEFT_OUT), 400, "invalid_request"),
    "an empty token": (revoke(token=""), 400, "invalid_request"),
    "another client's access token": (lambda s: s.mart.revoke(s.access), 400, "invalid_grant"),
    "another client's refresh token": (lambda s: s.mart.revoke(s.refresh), 400, "invalid_grant"),
    "another client's token, by a secret": (lambda s: s.shop.revoke(s.access), 400, "invalid_grant"),
    **unauthenticated(revoke),
    **malformed("/oauth/revoke"),
}


def presented(method: str, path: str) -> Rows:
    """Tokens presented wrongly (RFC 6750 section 3.1, RFC 9449 section 7), the same at every protected resource."""

    def with_bound(scheme: str = "DPoP", **changes: Any) -> Send:
        return raw(method, path, headers=presenting(method, path, scheme, lambda s: s.access, **changes))

    def with_other(token: Any, scheme: str = "DPoP", **changes: Any) -> Send:
        return raw(method, path, headers=presenting(method, path, scheme, token, **changes))

    return {
        "a scheme that is not known": (raw(method, path, headers={"Authorization": "Digest x"}), 401, "invalid_token"),
        "Basic": (raw(method, path, headers=basic("shop", "x")), 401, "invalid_token"),
        "no token after the scheme": (raw(method, path, headers={"Authorization": "Bearer "}), 401, "invalid_token"),
        "an unknown token": (with_other(lambda _s: UNKNOWN), 401, "invalid_token"),
        "an unknown bearer token": (
            with_other(lambda _s: UNKNOWN, "Bearer", proof=LEFT_OUT), 401, "invalid_token",
        ),
        "a refresh token": (with_other(lambda s: s.refresh), 401, "invalid_token"),
        "a code": (with_other(lambda s: s.code), 401, "invalid_token"),
        "a bound token as a bearer token": (with_bound("Bearer", proof=LEFT_OUT), 401, "invalid_token"),
        "a bound token as a bearer token, with a proof": (with_bound("Bearer"), 401, "invalid_token"),
        "no proof": (with_bound(proof=LEFT_OUT), 401, "invalid_dpop_proof"),
        "a proof by another key": (with_bound(key=lambda s: s.stranger), 401, "invalid_dpop_proof"),
        "a proof for another token": (with_bound(access_token=UNKNOWN), 401, "invalid_dpop_proof"),
        "a proof without ath": (with_bound(ath=LEFT_OUT), 401, "invalid_dpop_proof"),
        "a proof for another method": (with_bound(htm="PUT"), 401, "invalid_dpop_proof"),
        "a proof for another address": (with_bound(htu=f"{ISSUER}/elsewhere"), 401, "invalid_dpop_proof"),
        "a proof for another host": (with_bound(htu=f"https://evil.example{path}"), 401, "invalid_dpop_proof"),
        "an old proof": (with_bound(iat=-120), 401, "invalid_dpop_proof"),
        "a proof from the future": (with_bound(iat=120), 401, "invalid_dpop_proof"),
        "a proof without jti": (with_bound(jti=LEFT_OUT), 401, "invalid_dpop_proof"),
        "a token in the address": (raw(method, f"{path}?access_token={UNKNOWN}"), 401, ""),
    }  # fmt: skip


TOLD: Rows = {
    "no token": (raw("GET", "/userinfo"), 401, ""),
    "a token without openid": (
        raw("GET", "/userinfo", headers=presenting("GET", "/userinfo", "DPoP", lambda s: s.access)),
        403, "insufficient_scope",
    ),
    "a bearer token behind DPoP": (
        raw("GET", "/userinfo", headers=presenting("GET", "/userinfo", "DPoP", lambda s: s.shop_access)),
        401, "invalid_token",
    ),
    "a token in the header and in the body": (
        raw("POST", "/userinfo", data={"access_token": "x"}, headers={"Authorization": "Bearer x"}),
        400, "invalid_request",
    ),
    "a bound token in the body": (
        lambda s: s.app.test_client().post("/userinfo", data={"access_token": s.access}), 401, "invalid_token",
    ),
    **presented("GET", "/userinfo"),
}  # fmt: skip

READ: Rows = {
    "no token": (raw("GET", DATA), 401, "missing_token"),
    "a token in the body": (raw("GET", DATA, data={"access_token": UNKNOWN}), 401, "missing_token"),
    "a token that only signs in": (
        raw("GET", DATA, headers=presenting("GET", DATA, "Bearer", lambda s: s.shop_access, proof=LEFT_OUT)),
        403, "insufficient_scope",
    ),
    **{name: row for name, row in presented("GET", DATA).items() if name != "a token in the address"},
    "a token in the address": (raw("GET", f"{DATA}?access_token={UNKNOWN}"), 401, "missing_token"),
}  # fmt: skip
GRANT = "/oauth/grants/cns_unknown"
GRANTS: Rows = {
    "no token": (raw("GET", GRANT), 401, ""),
    "no token, to give it back": (raw("DELETE", GRANT), 401, ""),
    "a token without the scope, to give it back": (
        raw("DELETE", GRANT, headers=presenting("DELETE", GRANT, "DPoP", lambda s: s.access)),
        403, "insufficient_scope",
    ),
    "a token without the scope": (
        raw("GET", GRANT, headers=presenting("GET", GRANT, "DPoP", lambda s: s.access)), 403, "insufficient_scope",
    ),
    "a token that only signs in": (
        raw("GET", GRANT, headers=presenting("GET", GRANT, "Bearer", lambda s: s.shop_access, proof=LEFT_OUT)),
        403, "insufficient_scope",
    ),
    **presented("GET", GRANT),
}  # fmt: skip

REGISTER = "/oauth/register"
METADATA = {"redirect_uris": [factories.REDIRECT_URI], "client_name": "Shop"}
REGISTERED: Rows = {
    "no initial access token": (raw("POST", REGISTER, json=METADATA), 401, "invalid_token"),
    "an unknown initial access token": (
        raw("POST", REGISTER, json=METADATA, headers={"Authorization": "Bearer unknown"}), 401, "invalid_token",
    ),
    "Basic for an initial access token": (
        raw("POST", REGISTER, json=METADATA, headers=basic("shop", "x")), 401, "invalid_token",
    ),
    "an access token for an initial access token": (
        raw("POST", REGISTER, json=METADATA, headers=lambda s: {"Authorization": f"Bearer {s.shop_access}"}),
        401, "invalid_token",
    ),
    "the token in the address": (raw("POST", f"{REGISTER}?access_token=x", json=METADATA), 401, "invalid_token"),
    "another's registration, without a token": (raw("GET", f"{REGISTER}/bank"), 401, "invalid_token"),
    "another's registration": (
        raw("GET", f"{REGISTER}/bank", headers={"Authorization": "Bearer unknown"}), 401, "invalid_token",
    ),
    "another's registration, to change it": (
        raw("PUT", f"{REGISTER}/bank", json=METADATA, headers={"Authorization": "Bearer unknown"}),
        401, "invalid_token",
    ),
    "another's registration, to end it": (
        raw("DELETE", f"{REGISTER}/bank", headers={"Authorization": "Bearer unknown"}), 401, "invalid_token",
    ),
    "a registration that is not there": (
        raw("GET", f"{REGISTER}/nobody", headers={"Authorization": "Bearer unknown"}), 401, "invalid_token",
    ),
}  # fmt: skip

# The item is a matter of the consent: these are logged for the holder to see, and nothing of the data leaves.
NOT_GRANTED = ("/api/v1/data/p.tax.income", "/api/v1/data?items=p.tax.income", "/api/v1/data?items=p.edu.degree,x")

METHODS = {
    "/oauth/par": ("GET", "PUT", "DELETE"),
    "/oauth/token": ("GET", "PUT", "DELETE"),
    "/oauth/introspect": ("GET", "PUT"),
    "/oauth/revoke": ("GET", "PUT"),
    "/userinfo": ("PUT", "DELETE", "PATCH"),
    "/authorize": ("PUT", "DELETE"),
    "/oauth/jwks": ("POST", "PUT", "DELETE"),
    "/.well-known/openid-configuration": ("POST", "PUT"),
    "/.well-known/oauth-authorization-server": ("POST", "PUT"),
    "/.well-known/oauth-protected-resource": ("POST", "PUT"),
    DATA: ("POST", "PUT", "DELETE", "PATCH"),
}

TABLE: dict[str, Rows] = {
    "par": PUSHED,
    "authorize": ASKED,
    "token by code": EXCHANGED,
    "token by refresh": RENEWED,
    "introspect": INTROSPECTED,
    "revoke": REVOKED,
    "userinfo": TOLD,
    "data": READ,
    "grants": GRANTS,
    "register": REGISTERED,
}
CASES = [
    Case(endpoint=endpoint, wrong=wrong, send=send, status=status, error=error)
    for endpoint, rows in TABLE.items()
    for wrong, (send, status, error) in rows.items()
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_refused(scene: Scene, case: Case) -> None:
    with scene.visit():
        before = scene.counts()
        answer = case.send(scene)
        assert (answer.status_code, error_of(answer)) == (case.status, case.error), answer.text[:500]
        check_form(answer)
        db.session.rollback()
        assert scene.counts() == before


@pytest.mark.parametrize(("send", "_status", "_error"), UNTOLD.values(), ids=UNTOLD.keys())
def test_untold(scene: Scene, send: Send, _status: int, _error: str) -> None:
    with scene.visit():
        answer = send(scene)
        assert (answer.status_code, answer.json) == (200, {"active": False})


@pytest.mark.parametrize("path", NOT_GRANTED)
def test_not_granted(scene: Scene, path: str) -> None:
    with scene.visit():
        answer = raw("GET", path, headers=presenting("GET", path, "DPoP", lambda s: s.access))(scene)
        assert (answer.status_code, answer.json["code"]) == (403, "item_not_granted")
        assert "示例大学" not in answer.text


@pytest.mark.parametrize(
    ("path", "method"), [(path, method) for path, methods in METHODS.items() for method in methods]
)
def test_methods(scene: Scene, path: str, method: str) -> None:
    with scene.visit():
        answer = scene.app.test_client().open(path, method=method)
        assert answer.status_code == 405
        allowed = {name.strip() for name in answer.headers["Allow"].split(",")}
        assert method not in allowed
        assert allowed & {"GET", "POST"}
        assert "Set-Cookie" not in answer.headers


def test_the_right_requests_are_answered(scene: Scene) -> None:
    """So what is refused above is refused for what is wrong with it."""
    with scene.visit():
        assert push()(scene).status_code == 201
        assert ask()(scene).status_code == 303
        assert "error" not in ask()(scene).location
        assert renew()(scene).status_code == 200
        assert introspect()(scene).json["active"]
        assert raw("GET", DATA, headers=presenting("GET", DATA, "DPoP", lambda s: s.access))(scene).status_code == 200
        headers = presenting("GET", "/userinfo", "Bearer", lambda s: s.shop_access, proof=LEFT_OUT)
        assert raw("GET", "/userinfo", headers=headers)(scene).status_code == 200


def test_there_are_enough_of_them() -> None:
    counted = Counter({endpoint: len(rows) for endpoint, rows in TABLE.items()})
    assert len(CASES) == counted.total() >= AT_LEAST
    assert min(counted.values()) >= 10, counted
    assert len({str(case) for case in CASES}) == len(CASES)


def error_of(answer: TestResponse) -> str:
    """The error code, wherever this kind of answer carries it."""
    if answer.status_code == 303:
        said = parameters_of(answer.location)
        assert said["iss"] == ISSUER
        assert said["state"]
        return said["error"]
    if answer.mimetype == "text/html":
        found = re.search(r">\s*(\w+): ", answer.text)
        assert found, answer.text
        return found[1]
    body = answer.json
    return str(body.get("error") or body.get("code") or "")


def check_form(answer: TestResponse) -> None:
    """What every refusal has in common, whatever it refuses."""
    assert "Traceback" not in answer.text
    assert "Set-Cookie" not in answer.headers or answer.mimetype == "text/html"
    if answer.mimetype == "application/json":
        said = answer.json.get("error_description", "")
        assert said.isascii()
        assert not set('"\\\r\n') & set(said)
        assert answer.headers["Cache-Control"] == "no-store"
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"]
    if answer.status_code == 303:
        assert answer.location.startswith(f"{factories.REDIRECT_URI}?")
