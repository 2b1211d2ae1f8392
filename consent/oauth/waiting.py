"""Requests that wait for a holder who is elsewhere (:mod:`consent.oauth.ciba`), from the holder's side.

They are found by the names under which clients know the holder, so that the endpoint which takes them asks nobody
whether there is such a person.
"""

import datetime as dt

from sqlalchemy import select

from consent import clients, refusals, subjects
from consent.client_options import CIBA
from consent.clients import Client, Standing
from consent.oauth import par
from consent.oauth.par import AuthorizationRequest
from consent.records import Consent
from dataspace.db import db
from dataspace.errors import NotFound
from dataspace.identifiers import BlindIndex
from dataspace.mandates import Actor

SHOWN = 20  # more wait in turn
Waiting = tuple[AuthorizationRequest, Client]


def of(actor: Actor, now: dt.datetime, *, index: BlindIndex) -> list[Waiting]:
    """What waits for the holder whom somebody acts for, the one that ends first at the top.

    Left out: what waits for a second person already; third parties that may not ask at present, or have to wait after
    a refusal (check C-20), unless the holder has let them ask by a code.
    """
    rows = db.session.execute(
        select(AuthorizationRequest, Client)
        .join(Client, Client.client_id == AuthorizationRequest.client_id)
        .where(AuthorizationRequest.addressee.in_(_names(actor, index)), Client.standing == Standing.GOOD)
        .where(AuthorizationRequest.finished_at.is_(None), AuthorizationRequest.consent_id.is_(None))
        .where(AuthorizationRequest.expires_at > now)
        .order_by(AuthorizationRequest.expires_at, AuthorizationRequest.handle)
        .limit(SHOWN)
    ).all()
    known = {client.client_id for row, client in rows if row.addressee != actor.holder_id}
    resting = refusals.all_resting(space_id=actor.space_id, client_ids=known, now=now) if known else set()
    return [
        (row, client)
        for row, client in rows
        if row.addressee == actor.holder_id or (client.client_id, row.asked.purpose_code) not in resting
    ]


def find(handle: str, actor: Actor, now: dt.datetime, *, index: BlindIndex) -> AuthorizationRequest:
    """One that waits for this holder. Raises NotFound: somebody else's, decided, too old."""
    row = db.session.get(AuthorizationRequest, handle)
    if row is None or row.addressee is None or row.finished_at is not None or now >= row.expires_at:
        raise NotFound("no such request waits")
    if not is_for(row, actor, index=index):
        raise NotFound("the request waits for somebody else")
    return row


def is_for(row: AuthorizationRequest, actor: Actor, *, index: BlindIndex) -> bool:
    """Whether whoever acts for this holder may decide; a request that waits for nobody in particular is for all."""
    if row.addressee is None:
        return True
    return row.addressee in (actor.holder_id, subjects.of(actor.holder_id, clients.get(row.client_id), index))


def open_in_browser(row: AuthorizationRequest, *, browser: str, now: dt.datetime) -> None:
    """Go on with it in this browser; where it was opened before it can no longer be answered."""
    par.bring(row, browser, now)


def _names(actor: Actor, index: BlindIndex) -> set[str]:
    """The holder's id, and the names that clients which may ask like this have for the holder."""
    asked_before = select(Consent.client_id).where(Consent.space_id == actor.space_id)
    columns = select(Client.client_id, Client.profile, Client.redirect_uris, Client.options)
    parties = db.session.execute(columns.where(Client.client_id.in_(asked_before)))
    audiences = {subjects.audience_of(*party) for party in parties if CIBA in party.options.get("grant_types", ())}
    return {actor.holder_id} | {index.pairwise(actor.holder_id, audience) for audience in audiences}
