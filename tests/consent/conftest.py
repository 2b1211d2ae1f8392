"""Fixtures of several files of this folder."""

import datetime as dt

import pytest
from flask import Flask
from flask.testing import FlaskClient

from dataspace.db import db
from dataspace.holders import Holder
from tests import factories
from tests.consent.desk import Desk
from tests.consent.scene import Scene, make_scene
from tests.factories import World


@pytest.fixture
def scene(app: Flask, client: FlaskClient, now: dt.datetime) -> Scene:
    """A person with records in front of the consent page; some files have a scene of their own."""
    return make_scene(app, client, now)


@pytest.fixture
def world(app: Flask, now: dt.datetime) -> World:
    """A person whose degree a bank may read; some files have a world of their own."""
    return factories.world(now)


@pytest.fixture
def admin(app: Flask, now: dt.datetime) -> Holder:
    """An administrator."""
    person = factories.administrator(now)
    db.session.commit()
    return person


@pytest.fixture
def desk(client: FlaskClient, world: World, admin: Holder, now: dt.datetime) -> Desk:
    """An administrator who is signed in, while the world is there."""
    return Desk(client).sign_in(admin, now)
