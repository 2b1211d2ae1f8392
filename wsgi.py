"""The composition root: ``create_app(settings=None)``. Nothing else knows everybody.

Serve it with ``granian --interface wsgi --factory wsgi:create_app``.
"""

from flask import Flask
from flask_migrate import Migrate

from dataspace.db import db
from dataspace.settings import Settings
from dataspace.web import shell


def create_app(settings: Settings | None = None) -> Flask:
    """Build the application. Without ``settings`` they are read from the environment (SettingsError if incomplete)."""
    settings = settings or Settings.from_environment()
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url
    if settings.database_url.startswith("postgresql"):
        app.config["SQLALCHEMY_ENGINE_OPTIONS"] = {"pool_size": settings.pool_size, "pool_pre_ping": False}
    shell.init_shell(app, settings)
    db.init_app(app)
    Migrate(app, db)
    return app
