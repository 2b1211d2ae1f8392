"""The composition root: ``create_app(settings=None)``. Nothing else knows everybody.

Serve it with ``granian --interface wsgi --factory wsgi:create_app``.
"""

import functools

from flask import Flask
from flask_migrate import Migrate

from consent import cases as demands
from consent import witnesses
from consent.history import Registry
from consent.keys import Keyring
from consent.oauth import authorities, nonces, server, validator
from consent.oauth.deliveries import Packer
from consent.web import (
    archives,
    authorize,
    cases,
    certificate_api,
    certificates,
    check,
    dashboard,
    device,
    endpoints,
    erasures,
    explanation,
    inbox,
    log,
    logos,
    logout,
    messenger,
    metrics,
    origins,
    packages,
    presented,
    receipts,
    registration,
    statutes,
    waiting,
)
from consent.web import commands as consent_commands
from consent.web.admin import routes as admin
from dataspace.db import close, db, engine_options
from dataspace.errors import SettingsError
from dataspace.mail import Smtp
from dataspace.settings import Settings
from dataspace.web import (
    answers,
    api,
    doors,
    guard,
    items,
    limits,
    mail_address,
    pages,
    passkeys,
    places,
    push,
    shell,
    signin,
)
from dataspace.web import commands as dataspace_commands
from dataspace.web import source_commands as sources


def create_app(settings: Settings | None = None) -> Flask:
    """Build the application. Without ``settings`` they are read from the environment, or it says what they lack."""
    try:
        settings = settings or Settings.from_environment()
        asked = witnesses.all_of(
            settings.witnesses, quorum=settings.witness_quorum, allow_loopback=settings.fetch_loopback
        )
    except SettingsError as error:
        # For a person at a command line or a log: what is missing, without a trace.
        raise SystemExit(f"The service cannot start: {error.detail}") from None
    app = Flask(__name__)
    app.config["SQLALCHEMY_DATABASE_URI"] = settings.database_url
    app.config["SQLALCHEMY_ENGINE_OPTIONS"] = engine_options(settings)
    shell.configure_logging(settings)
    shell.init_shell(app, settings, demands.demanded)
    limits.init_limits(app, settings)
    app.teardown_appcontext(close)  # after the session, which may be in its transaction: they run last to first
    db.init_app(app)
    Migrate(app, db)
    services: shell.Services = app.extensions["dataspace"]
    app.extensions["consent"] = Registry(
        vault=services.vault, index=services.index, keyring=Keyring(services.vault), issuer=settings.issuer
    )
    server.init_oauth(app)
    known = nonces.of_resource_server(settings)
    permission_for = functools.partial(validator.permission_for, issuer=settings.issuer, nonces=known)
    guard.init_guard(app, {"dpop": permission_for, "bearer": permission_for}, nonce=known.current)
    oauth: server.Server = app.extensions[server.EXTENSION]
    answers.init_answers(app, functools.partial(Packer, registry=oauth.registry, keys=oauth.keys))
    signin.init_signin(app)
    places.init_places(app)
    ours = (
        endpoints,
        registration,
        authorize,
        device,
        waiting,
        logos,
        logout,
        dashboard,
        cases,
        receipts,
        certificate_api,
        certificates,
        presented,
        check,
        packages,
        inbox,
        log,
        metrics,
        archives,
        erasures,
        explanation,
        origins,
        statutes,
        admin,
    )
    for part in (doors, passkeys, pages, mail_address, api, items, *ours):
        app.register_blueprint(part.bp)
    shell.csrf.exempt(api.bp)
    push.init_push(app, authorities.authority_of_request)
    app.extensions[log.WITNESSES] = asked
    app.extensions["carrier"] = Smtp.of(settings)  # of mail; any dataspace.mail.Carrier may stand here
    messenger.init_messengers(app)
    dataspace_commands.register(app)
    sources.register(app)
    consent_commands.register(app)
    return app
