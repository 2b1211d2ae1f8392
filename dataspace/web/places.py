"""The places of the main navigation: what people of each face do most, in their order, with what waits there.

The numbers come from whoever knows them: ``app.extensions["place_numbers"]`` maps the name of a place to a function of
actor and time. The data space itself knows no consents, and shows of these places what the application has.
"""

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from flask import Flask, current_app, request, url_for
from flask_babel import lazy_gettext
from sqlalchemy.exc import SQLAlchemyError

from dataspace import clock
from dataspace.db import db
from dataspace.mandates import Actor
from dataspace.web.faces import BUSINESS, CITIZEN
from dataspace.web.signin import current_actor

Number = Callable[[Actor, dt.datetime], int]
WAITING = "waiting"  # the tab that is a place of its own


@dataclass(frozen=True, kw_only=True)
class Place:
    """``tab``: which of the lists behind the endpoint."""

    name: str
    endpoint: str
    label: Any
    icon: str
    tab: str = ""

    @property
    def address(self) -> str:
        """Where it is."""
        return url_for(self.endpoint, tab=self.tab or None)

    @property
    def here(self) -> bool:
        """Whether it is the page of this request."""
        return request.endpoint == self.endpoint and request.args.get("tab", "") == self.tab

    @property
    def number(self) -> int:
        """How much waits there for the person of this request; none when the database cannot say."""
        known: Mapping[str, Number] = current_app.extensions.get("place_numbers", {})
        try:
            actor = current_actor()
            return known[self.name](actor, clock.now()) if actor and self.name in known else 0
        except SQLAlchemyError:  # an error page must come out when the database is gone
            db.session.rollback()
            return 0


_HOME = Place(name="home", endpoint="home.index", label=lazy_gettext("Home"), icon="home")
_WAITING = Place(
    name=WAITING, endpoint="dashboard.authorizations", label=lazy_gettext("To approve"), icon="clock", tab=WAITING
)
_GIVEN = Place(
    name="authorizations", endpoint="dashboard.authorizations", label=lazy_gettext("Authorizations"), icon="consent"
)
_READS = Place(name="reads", endpoint="dashboard.reads", label=lazy_gettext("Who read"), icon="eye")
_MESSAGES = Place(name="messages", endpoint="inbox.index", label=lazy_gettext("Messages"), icon="bell")
PLACES = MappingProxyType({CITIZEN: (_HOME, _GIVEN, _READS, _MESSAGES), BUSINESS: (_HOME, _WAITING, _GIVEN, _MESSAGES)})


def init_places(app: Flask) -> None:
    """Let templates ask for the places of a face."""
    app.jinja_env.globals["places"] = places


def places(face: str, endpoints: Collection[str]) -> list[Place]:
    """The places of a face, of those that the application has; none for administrators, who have their own."""
    return [place for place in PLACES.get(face, ()) if place.endpoint in endpoints]
