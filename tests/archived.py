"""Files that the worker makes, as whoever has asked for one gets it."""

from consent import archives, evidence_package, worker
from consent.records import Consent
from consent.web.archives import content
from dataspace import clock
from dataspace.db import db
from dataspace.web.shell import services
from tests import factories


def work() -> bool:
    """What the worker does in one go; whether anything was waiting."""
    return worker.write_archive(clock.now, content, registry=factories.registry())


def package_of(consent: Consent) -> bytes:
    """What proves a consent, as its holder asks for it."""
    actor, now = factories.actor(db.session.get_one(factories.Holder, consent.holder_id), clock.now()), clock.now()
    archive = evidence_package.ask(consent, actor, "zh_Hans", now, why=None, registry=factories.registry())
    db.session.commit()
    assert work()
    db.session.refresh(archive)
    return b"".join(archives.read(archive, now, vault=services().vault))
