"""Requests of a hostile program, as Hypothesis strategies: what is honestly sent, with a few things wrong.

A plan is drawn without knowing the application; :class:`tests.fuzz.target.Target` fills in what only it has, such as a
fresh assertion, an access token or the handle of a request that is open in this browser.
"""

from dataclasses import dataclass
from typing import Any

from flask import Flask
from hypothesis import strategies as st

from tests.fuzz.values import HEADER_VALUES, HEADERS, NAMES, REALS, Real, reals, values

# What each endpoint is honestly sent; everything else starts from nothing
_CLIENT = {"client_assertion_type": "assertion_type", "client_assertion": "assertion"}
_REQUEST = {
    "response_type": "code_word",
    "redirect_uri": "redirect_uri",
    "code_challenge": "challenge",
    "code_challenge_method": "s256",
}
_DATA = {"client_id": "client_id", "authorization_details": "details"}
HONEST: dict[str, list[dict[str, str]]] = {
    "oauth.par": [_REQUEST | _DATA | _CLIENT, _DATA | _CLIENT | {"request": "request_object"}],
    "oauth.token": [
        _CLIENT
        | {"grant_type": "code_type", "code": "code", "redirect_uri": "redirect_uri", "code_verifier": "verifier"},
        _CLIENT | {"grant_type": "refresh", "refresh_token": "refresh_token"},
        {
            "client_id": "login_id",
            "client_secret": "secret",
            "grant_type": "refresh",
            "refresh_token": "login_refresh_token",
        },
    ],
    "oauth.device_authorization": [_DATA | _CLIENT],
    "oauth.backchannel_authentication": [
        _DATA | _CLIENT | {"scope": "openid", "login_hint": "openid", "binding_message": "openid"},
    ],
    "oauth.introspect": [_CLIENT | {"token": "access_token"}],
    "oauth.revoke": [_CLIENT | {"token": "access_token"}],
    "oauth.authorize": [
        _REQUEST | {"client_id": "login_id", "scope": "openid"},
        {"client_id": "client_id", "request_uri": "request_uri"},
        {"client_id": "login_id", "request": "request_object"},
    ],
}
HONEST["oauth.authorize_by_form"] = HONEST["oauth.authorize"]
CARRY_PROOF = (
    "oauth.par",
    "oauth.device_authorization",
    "oauth.backchannel_authentication",
    "oauth.token",
)  # every other endpoint is read with an access token
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "PROPFIND"]
ACTORS = ["nobody", "person", "company", "administrator"]
BODIES = ["form"] * 8 + ["json", "query", "multipart", "raw"]
NOISE = [""] * 20 + ["&", "&&=", "&a", "&%", "&%zz=1", "&%ff=1", "&a=1&a=2", "&" * 70, "&x=" + "y" * 300_000]


@dataclass(frozen=True)
class Plan:
    """One request. ``body``: form, json, query, multipart or raw."""

    endpoint: str
    rule: str
    method: str
    actor: str
    arguments: dict[str, Any]
    parameters: list[tuple[str, Any]]
    headers: list[tuple[str, Any]]
    body: str
    noise: str = ""


@dataclass(frozen=True)
class Route:
    """A rule of the application; ``methods`` without those that Flask adds by itself."""

    endpoint: str
    rule: str
    arguments: tuple[str, ...]
    methods: tuple[str, ...]

    @property
    def examples(self) -> int:
        """How many requests it is worth."""
        if self.endpoint in HONEST:
            return 40
        if self.rule.startswith("/api/"):
            return 20
        return 6 if self.arguments or "POST" in self.methods else 3


def honest(route: Route) -> list[Plan]:
    """What it is honestly sent: where everything else starts from."""
    return [
        Plan(
            endpoint=route.endpoint, rule=route.rule, method=route.methods[0], actor="nobody", arguments={},
            parameters=[(name, Real(what)) for name, what in parameters.items()],
            headers=[("DPoP", Real("proof"))] if route.endpoint in CARRY_PROOF else [], body="form",
        )
        for parameters in HONEST.get(route.endpoint, [])
    ]  # fmt: skip


def routes(app: Flask) -> list[Route]:
    """Every route of the application."""
    found = sorted(app.url_map.iter_rules(), key=lambda rule: (rule.rule, rule.endpoint))
    return [
        Route(r.endpoint, r.rule, tuple(sorted(r.arguments)), tuple(sorted((r.methods or set()) - {"HEAD", "OPTIONS"})))
        for r in found
    ]


@st.composite
def plans(draw: st.DrawFn, route: Route) -> Plan:
    """A request to a route: what it is honestly sent, with a few things changed, added or doubled."""
    honest = draw(st.sampled_from(HONEST.get(route.endpoint, [{}])))
    parameters: list[tuple[str, Any]] = [(name, Real(what)) for name, what in honest.items()]
    names = [name for name, _value in parameters] * 3 + NAMES
    for name, value in draw(st.lists(st.tuples(st.sampled_from(names), values), max_size=3)):
        if draw(st.integers(0, 4)):
            parameters = [pair for pair in parameters if pair[0] != name]
        parameters.append((name, value))
    if parameters and not draw(st.integers(0, 2)):
        at = draw(st.integers(0, len(parameters) - 1))
        name, value = parameters[at]
        parameters[at] = (name, draw(reals(value.what)) if isinstance(value, Real) else value)
    return Plan(
        endpoint=route.endpoint,
        rule=route.rule,
        method=draw(st.sampled_from([*route.methods * 20, *METHODS])),
        actor=draw(st.sampled_from(ACTORS)),
        arguments={name: draw(st.one_of(st.just(_usual(name, draw)), values)) for name in route.arguments},
        parameters=parameters,
        headers=draw(_headers(route.endpoint)),
        body=draw(st.sampled_from(BODIES)),
        noise=draw(st.sampled_from(NOISE)),
    )


def _usual(argument: str, draw: st.DrawFn) -> Real:
    wanted = {"handle": ["handle", "data_handle"], "grant_id": ["consent_id"]}.get(argument, [argument])
    return Real(draw(st.sampled_from([name for name in wanted if name in REALS] or ["consent_id"])))


@st.composite
def _headers(draw: st.DrawFn, endpoint: str) -> list[tuple[str, Any]]:
    headers: list[tuple[str, Any]] = []
    if endpoint in CARRY_PROOF:
        headers.append(("DPoP", draw(reals("proof"))))
    elif draw(st.booleans()):
        headers += [("Authorization", Real("dpop_token")), ("DPoP", draw(reals("proof_with_token")))]
    if draw(st.booleans()):
        headers.append(("Accept", "text/html"))
    changed = st.tuples(st.sampled_from(HEADERS), st.one_of(st.sampled_from(HEADER_VALUES), reals()))
    headers += draw(st.lists(changed, max_size=1))
    return headers
