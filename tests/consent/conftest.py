"""Fixtures of several files of this folder."""

import datetime as dt

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.consent.scene import Scene, make_scene


@pytest.fixture
def scene(app: Flask, client: FlaskClient, now: dt.datetime) -> Scene:
    """A person with records in front of the consent page; some files have a scene of their own."""
    return make_scene(app, client, now)
