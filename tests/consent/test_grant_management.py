"""Grant Management for OAuth 2.0: a client looks at a grant, gives it back, replaces it; and what the holder sees."""

import json
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from consent import clients, endings, interventions, lifecycle
from consent.clients import Profile
from consent.oauth import resources
from consent.records import Consent, ConsentEvent, ConsentVersion, Event, State
from dataspace import clock
from dataspace.db import db
from dataspace.mandates import Actor, Capacity
from tests import factories
from tests.conftest import ISSUER
from tests.consent.third_party import DETAILS, LEFT_OUT, ThirdParty, code_for, parameters_of, proof_key, tokens_for
from tests.consent.visitor import Visitor

BOTH = "grant_management_query grant_management_revoke"
OTHER_ITEM = "p.work.qualification"


@dataclass
class Scene:
    bank: ThirdParty
    world: factories.World

    @property
    def by(self) -> Actor:
        return self.world.actor

    def call(self, method: str, grant_id: str, token: str, **how: Any) -> TestResponse:
        """One call of the grant management API; ``how`` changes scheme, proof or its path."""
        path = f"/oauth/grants/{grant_id}"
        proof = how.get("proof") or self.bank.proof(method, path, access_token=token)
        headers = {"Authorization": f"{how.get('scheme', 'DPoP')} {token}"}
        if proof is not LEFT_OUT:
            headers["DPoP"] = proof
        return self.bank.http.open(path, method=method, headers=headers)

    def consent(self, grant_id: str) -> Consent:
        db.session.rollback()
        db.session.expire_all()
        return lifecycle.get(grant_id)


@pytest.fixture
def scene(app: Flask, client: FlaskClient) -> Scene:
    world = factories.world(clock.now())
    return Scene(ThirdParty(world.party, client), world)


def last_event(grant_id: str) -> ConsentEvent:
    query = select(ConsentEvent).where(ConsentEvent.consent_id == grant_id).order_by(ConsentEvent.seq.desc())
    found = db.session.scalars(query).first()
    assert found is not None
    return found


# Sections 6.4 and 6.5


def test_a_query_tells_what_is_granted(scene: Scene) -> None:
    body = tokens_for(scene.bank, scene.by, scope=f"openid {BOTH}")
    answer = scene.call("GET", body["grant_id"], body["access_token"])
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["authorization_details"] == body["authorization_details"]
    assert answer.json["scopes"] == [{"scope": f"openid {BOTH}"}]
    assert answer.json["claims"] == ["sub"]
    consent = scene.consent(body["grant_id"])
    said = {name: answer.json[name] for name in ("created_at", "last_updated_at", "expires_at")}
    assert said["created_at"] == said["last_updated_at"] == int(consent.created_at.timestamp())
    assert said["expires_at"] == body["authorization_details"][0]["expires_at"]


@pytest.mark.parametrize("ended", ["expired", "used up", "revoked", "space closed", "mandate ended"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_grant_that_has_ended_is_not_there(scene: Scene, method: str, ended: str) -> None:
    now = clock.now()
    body = tokens_for(scene.bank, scene.by, scope=BOTH, at=now)
    consent = scene.consent(body["grant_id"])
    if ended == "expired":
        consent.expires_at = now
    elif ended == "used up":
        consent.max_reads = 0
    elif ended == "revoked":
        admin = factories.supervisor(factories.administrator(now), now)
        endings.revoke(consent.consent_id, admin, now, reason_code="complaint", text="", registry=factories.registry())
    elif ended == "space closed":
        scene.world.person.closed_at = now
    else:
        company = factories.company(now)
        mandate = factories.mandate(company, scene.world.person, Capacity.LEGAL_REPRESENTATIVE, now)
        consent.mandate_id, mandate.ended_at = mandate.mandate_id, now
    db.session.commit()
    answer = scene.call(method, body["grant_id"], body["access_token"])
    assert (answer.status_code, answer.json["error"]) == (404, "invalid_grant_id")


def test_giving_back_ends_the_consent_and_its_tokens_at_once(scene: Scene) -> None:
    body = tokens_for(scene.bank, scene.by, scope=BOTH)
    grant_id, token = body["grant_id"], body["access_token"]
    answer = scene.call("DELETE", grant_id, token)
    assert (answer.status_code, answer.data) == (204, b"")
    assert scene.consent(grant_id).state == State.WITHDRAWN
    event = last_event(grant_id)
    assert (event.kind, event.channel, event.actor_id) == (Event.WITHDRAWN, "client", None)
    assert scene.bank.introspect(token).json == {"active": False}
    assert scene.bank.refresh(body["refresh_token"]).json["error"] == "invalid_grant"
    assert scene.bank.read(token).json["code"] == "consent_withdrawn"
    for method in ("GET", "DELETE"):
        again = scene.call(method, grant_id, token)
        assert (again.status_code, again.json["error"]) == (404, "invalid_grant_id")


def test_the_holder_sees_who_gave_it_back(scene: Scene, client: FlaskClient) -> None:
    body = tokens_for(scene.bank, scene.by, scope=BOTH)
    scene.call("DELETE", body["grant_id"], body["access_token"])
    page = Visitor(client).sign_in(scene.world.person, clock.now()).get(f"/authorizations/{body['grant_id']}")
    assert "The third party gave it back." in page.says
    assert "stopped from your side" not in page.says


@pytest.mark.parametrize("standing", ["paused", "client suspended"])
def test_a_grant_that_rests_is_still_there(scene: Scene, standing: str) -> None:
    body = tokens_for(scene.bank, scene.by, scope=BOTH)
    if standing == "paused":
        scene.consent(body["grant_id"]).state = State.PAUSED
    else:
        ground = interventions.SUSPEND[0]
        clients.suspend("bank", clock.now(), actor_id="adm", reason_code=ground, text="")
    db.session.commit()
    assert scene.call("GET", body["grant_id"], body["access_token"]).status_code == 200
    assert scene.call("DELETE", body["grant_id"], body["access_token"]).status_code == 204


# Later, when the access token has died: the refresh token brings one for these calls and nothing else.


@pytest.mark.parametrize("state", [State.PAUSED, State.SUSPENDED])
@pytest.mark.parametrize(("method", "status"), [("GET", 200), ("DELETE", 204)])
def test_a_grant_that_rests_for_long_is_still_there(scene: Scene, state: State, method: str, status: int) -> None:
    body = tokens_for(scene.bank, scene.by, scope=f"openid {BOTH}")
    scene.consent(body["grant_id"]).state = state
    db.session.commit()
    fresh = scene.bank.refresh(body["refresh_token"], scope=BOTH)
    assert (fresh.status_code, fresh.json["scope"]) == (200, BOTH)
    token = fresh.json["access_token"]
    assert scene.bank.introspect(token).json == {"active": False}
    assert scene.bank.read(token).json["code"] == f"consent_{state}"
    assert scene.call(method, body["grant_id"], token).status_code == status
    if method == "DELETE":
        assert scene.consent(body["grant_id"]).state == State.WITHDRAWN
        assert scene.bank.refresh(body["refresh_token"], scope=BOTH).json["error"] == "invalid_grant"


@pytest.mark.parametrize("scope", [LEFT_OUT, "openid", f"openid {BOTH}", ""], ids=["none", "other", "more", "empty"])
def test_a_grant_that_rests_brings_no_other_token(scene: Scene, scope: Any) -> None:
    body = tokens_for(scene.bank, scene.by, scope=f"openid {BOTH}")
    scene.consent(body["grant_id"]).state = State.PAUSED
    db.session.commit()
    answer = scene.bank.refresh(body["refresh_token"], scope=scope)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_grant")
    assert answer.json["error_description"] == "consent_paused"


@pytest.mark.parametrize(
    "ended", [State.WITHDRAWN, State.INVALIDATED, State.TERMINATED, State.EXPIRED, State.EXHAUSTED]
)
def test_a_grant_that_has_ended_brings_no_token(scene: Scene, ended: State) -> None:
    body = tokens_for(scene.bank, scene.by, scope=BOTH)
    scene.consent(body["grant_id"]).state = ended
    db.session.commit()
    answer = scene.bank.refresh(body["refresh_token"], scope=BOTH)
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("granted", [[ISSUER, "https://other.example"], "https://other.example"], ids=["both", "one"])
def test_no_token_for_another_resource_while_a_grant_rests(scene: Scene, granted: Any) -> None:
    """It might be a JWT, which nobody asks us about."""
    resources.add("https://other.example", "jwt", None, clock.now(), issuer=ISSUER)
    db.session.commit()
    body = tokens_for(scene.bank, scene.by, scope=BOTH, resource=granted)
    scene.consent(body["grant_id"]).state = State.PAUSED
    db.session.commit()
    answer = scene.bank.refresh(body["refresh_token"], scope=BOTH, resource="https://other.example")
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize(
    ("case", "status", "error"),
    [
        ("6.1 no scope", 403, "insufficient_scope"),
        ("6.1 the scope of the other call", 403, "insufficient_scope"),
        ("6.6 another grant of this client", 404, "invalid_grant_id"),
        ("6.6 unknown grant", 404, "invalid_grant_id"),
        ("rfc6750 3 refresh token", 401, "invalid_token"),
        ("rfc6750 3 unknown token", 401, "invalid_token"),
        ("rfc6750 3 revoked token", 401, "invalid_token"),
        ("rfc8707 2 token for another resource", 401, "invalid_token"),
        ("rfc9449 7 bound token as bearer", 401, "invalid_token"),
        ("rfc9449 7 proof by another key", 401, "invalid_dpop_proof"),
    ],
)
def test_refusals(scene: Scene, method: str, case: str, status: int, error: str) -> None:
    wrong = "grant_management_revoke" if method == "GET" else "grant_management_query"
    scope = {"6.1 no scope": "openid", "6.1 the scope of the other call": wrong}.get(case, BOTH)
    resource: Any = LEFT_OUT
    if "8707" in case:
        resources.add("https://other.example", "opaque", None, clock.now(), issuer=ISSUER)
        db.session.commit()
        resource = "https://other.example"
    body = tokens_for(scene.bank, scene.by, scope=scope, resource=resource)
    grant_id, token, how = body["grant_id"], body["access_token"], {}
    if "another grant" in case:
        grant_id = tokens_for(scene.bank, scene.by, scope=BOTH)["grant_id"]
    elif "unknown grant" in case:
        grant_id = "cns_unknown"
    elif "refresh token" in case:
        token = body["refresh_token"]
    elif "unknown token" in case:
        token = "dsa_at_unknown"
    elif "revoked" in case:
        scene.bank.revoke(token)
    elif "as bearer" in case:
        how = {"scheme": "Bearer", "proof": LEFT_OUT}
    elif "another key" in case:
        path = f"/oauth/grants/{grant_id}"
        how = {"proof": scene.bank.proof(method, path, access_token=token, key=proof_key())}
    answer = scene.call(method, grant_id, token, **how)
    assert (answer.status_code, answer.json["error"]) == (status, error)
    assert ("WWW-Authenticate" in answer.headers) is (status != 404)
    assert scene.consent(body["grant_id"]).state == State.ACTIVE


def test_without_a_token(scene: Scene) -> None:
    for path in ("/oauth/grants", f"/oauth/grants/{scene.world.consent.consent_id}"):
        answer = scene.bank.http.get(path)
        assert (answer.status_code, answer.json) == (401, {})
        assert "error=" not in answer.headers["WWW-Authenticate"]


# Sections 5.2 and 5.4: what a request may say

REQUESTS: dict[str, tuple[dict[str, str], int, str | None]] = {
    "5.2 create": ({"grant_management_action": "create"}, 201, None),
    "5.2 replace": ({"grant_management_action": "replace", "grant_id": "own"}, 201, None),
    "5.4 merge": ({"grant_management_action": "merge", "grant_id": "own"}, 400, "invalid_request"),
    "5.4 unknown action": ({"grant_management_action": "x"}, 400, "invalid_request"),
    "5.4 create with a grant": ({"grant_management_action": "create", "grant_id": "own"}, 400, "invalid_request"),
    "5.4 grant without action": ({"grant_id": "own"}, 400, "invalid_request"),
    "5.4 replace without grant": ({"grant_management_action": "replace"}, 400, "invalid_request"),
    "5.4 unknown grant": ({"grant_management_action": "replace", "grant_id": "cns_no"}, 400, "invalid_grant_id"),
    "5.4 another client's grant": ({"grant_management_action": "replace", "grant_id": "shop"}, 400, "invalid_grant_id"),
    "5.4 another purpose": ({"grant_management_action": "replace", "grant_id": "purpose"}, 400, "invalid_grant_id"),
    "5.4 withdrawn grant": ({"grant_management_action": "replace", "grant_id": "ended"}, 400, "invalid_grant_id"),
}


@pytest.mark.parametrize(("sent", "status", "error"), REQUESTS.values(), ids=list(REQUESTS))
def test_what_a_request_may_say(scene: Scene, sent: dict[str, str], status: int, error: str | None) -> None:
    now = clock.now()
    known = {"own": scene.world.consent.consent_id}
    if sent.get("grant_id") == "shop":
        factories.party(now, "shop", profile=Profile.LOGIN, method="client_secret_basic")
        known["shop"] = factories.sign_in_consent("shop", scene.by, now).consent_id
    elif sent.get("grant_id") == "purpose":
        other = factories.purpose(now, code="other-purpose", required=[scene.world.item])
        known["purpose"] = factories.consent(factories.ask(other, now), scene.by, now).consent_id
    elif sent.get("grant_id") == "ended":
        known["ended"] = known["own"]
        endings.withdraw(known["own"], scene.by, now, registry=factories.registry())
    db.session.commit()
    changes = sent | ({"grant_id": known.get(sent["grant_id"], sent["grant_id"])} if "grant_id" in sent else {})
    answer = scene.bank.push(**changes)
    assert (answer.status_code, answer.json.get("error")) == (status, error)


def test_a_client_that_signs_people_in_manages_no_grants(scene: Scene) -> None:
    party = factories.party(clock.now(), "shop", profile=Profile.LOGIN, method="client_secret_basic")
    db.session.commit()
    answer = ThirdParty(party, scene.bank.http).push(grant_management_action="create")
    assert (answer.status_code, answer.json["error"]) == (400, "invalid_request")


def test_a_replacement_with_nothing_left_to_read_is_refused_before_anybody_is_asked(scene: Scene) -> None:
    body = tokens_for(scene.bank, scene.by)
    assert scene.bank.read(body["access_token"]).status_code == 200
    scene.consent(body["grant_id"]).max_reads = 2  # from now on reads are counted
    db.session.commit()
    assert scene.bank.read(body["access_token"]).status_code == 200
    sent = {"grant_management_action": "replace", "grant_id": body["grant_id"]}
    for max_reads, status in ((1, 400), (2, 201)):
        details = [DETAILS[0] | {"use": {"mode": "periodic", "max_reads": max_reads}}]
        answer = scene.bank.push(authorization_details=json.dumps(details), **sent)
        assert answer.status_code == status, answer.json
    assert scene.bank.push(authorization_details=json.dumps(DETAILS), **sent).status_code == 201


# Replace, through the page


@pytest.fixture
def wider(scene: Scene) -> Scene:
    """A second, optional item for the purpose; the grant so far has only the first."""
    now = clock.now()
    other = factories.item(now, OTHER_ITEM)
    factories.record(scene.world.person, other, [{"school": "证书", "major": None, "level": None}], now)
    entry = scene.world.purpose.items[0] | {"item": OTHER_ITEM, "necessity": "optional"}
    scene.world.purpose.items = [*scene.world.purpose.items, entry]
    db.session.commit()
    return scene


def asked(scene: Scene, grant_id: str, **changes: Any) -> str:
    return scene.bank.authorize_url(grant_management_action="replace", grant_id=grant_id, **changes)


def items_of(body: dict[str, Any]) -> list[str]:
    return [item["item"] for item in body["authorization_details"][0]["items"]]


def test_replacing_gives_the_same_grant_a_new_version(wider: Scene, client: FlaskClient) -> None:
    first = [DETAILS[0] | {"items": [{"item": "p.edu.degree"}]}]
    old = tokens_for(wider.bank, wider.by, authorization_details=json.dumps(first), scope=BOTH)
    unused, _consent = code_for(wider.bank, wider.by, give=wider.consent(old["grant_id"]))
    visitor = Visitor(client).sign_in(wider.world.person, clock.now())
    page = visitor.get(asked(wider, old["grant_id"], scope=BOTH))
    assert "It replaces what you gave on" in page.says
    page = visitor.tap("Agree", share=[OTHER_ITEM], days="7")
    code = parameters_of(next(href for _w, href in page.links if "code=" in href))
    body = wider.bank.token(code["code"]).json
    assert body["grant_id"] == old["grant_id"]
    assert body["consent_version"] == 2
    assert items_of(body) == ["p.edu.degree", OTHER_ITEM]
    # Everything that was issued before is dead, whatever it is.
    assert wider.bank.introspect(old["access_token"]).json == {"active": False}
    assert wider.bank.read(old["access_token"]).status_code == 401
    assert wider.bank.refresh(old["refresh_token"]).json["error"] == "invalid_grant"
    assert wider.bank.token(unused).json["error"] == "invalid_grant"
    # And that which was issued after lives.
    assert wider.bank.read(body["access_token"]).status_code == 200
    consent = wider.consent(old["grant_id"])
    assert (consent.state, consent.version) == (State.ACTIVE, 2)
    assert (consent.expires_at - consent.not_before).days == 7
    assert last_event(old["grant_id"]).kind == Event.REPLACED
    found = select(ConsentVersion).filter_by(consent_id=consent.consent_id).order_by(ConsentVersion.version)
    versions = list(db.session.scalars(found))
    documents = [json.loads(v.document) for v in versions]
    assert documents[1]["previous_version_digest"] == f"sha-256:{versions[0].digest}"
    # The holder finds one authorization, with what was shown the second time.
    said = visitor.get(f"/authorizations/{consent.consent_id}").says
    assert "Replaced by a new agreement" in said


def test_refusing_a_replacement_leaves_the_grant_as_it_was(scene: Scene, client: FlaskClient) -> None:
    body = tokens_for(scene.bank, scene.by)
    visitor = Visitor(client).sign_in(scene.world.person, clock.now())
    visitor.get(asked(scene, body["grant_id"]))
    page = visitor.tap("Refuse")
    assert any("error=access_denied" in href for _words, href in page.links)
    assert scene.consent(body["grant_id"]).version == 1
    assert scene.bank.read(body["access_token"]).status_code == 200


@pytest.mark.parametrize("case", ["another holder", "ended meanwhile", "agent"])
def test_who_may_not_replace_is_told_and_goes_back(scene: Scene, client: FlaskClient, case: str) -> None:
    now = clock.now()
    grant_id = scene.world.consent.consent_id
    person, acting = scene.world.person, None
    if case == "agent":
        body_holder = factories.company(now)
        chief = factories.holder(now, factories.LEGAL_REP, "李伟强")
        person = factories.holder(now, factories.AGENT, "周敏")
        first = factories.mandate(body_holder, chief, Capacity.LEGAL_REPRESENTATIVE, now)
        acting = factories.mandate(body_holder, person, Capacity.AGENT, now)
        item = factories.item(now, "e.tax.return")
        row = factories.purpose(now, code="for-bodies", required=[item], kinds=("legal_entity",))
        given = factories.consent(factories.ask(row, now), factories.actor(chief, now, on_behalf_of=first), now)
        db.session.commit()
        grant_id = given.consent_id
    elif case == "another holder":
        person = factories.holder(now, factories.OTHER_PERSON, "梁志文")
        db.session.commit()
    details = [DETAILS[0] | {"purpose": "for-bodies"}] if case == "agent" else DETAILS
    url = asked(scene, grant_id, authorization_details=json.dumps(details))
    visitor = Visitor(client).sign_in(person, now, acting=acting)
    if case == "ended meanwhile":
        endings.withdraw(grant_id, scene.by, now, registry=factories.registry())
        db.session.commit()
    page = visitor.get(url)
    assert page.status == 403
    assert "wants to replace an authorization" in page.says
    page = visitor.tap("Return to Lingnan Example Bank")
    assert any("error=access_denied" in href for _words, href in page.links)
    assert scene.consent(grant_id).version == 1


def test_metadata(scene: Scene) -> None:
    said = scene.bank.http.get("/.well-known/oauth-authorization-server").json
    assert said["grant_management_endpoint"] == f"{ISSUER}/oauth/grants"
    assert said["grant_management_actions_supported"] == ["query", "revoke", "create", "replace"]
    assert said["grant_management_action_required"] is False
    assert set(BOTH.split()) <= set(said["scopes_supported"])
