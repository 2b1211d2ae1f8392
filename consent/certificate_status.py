"""The status lists of certificates as they are published: computed from what is so now, with every fetch."""

import datetime as dt
import hashlib
from dataclasses import dataclass

from consent import certificate_issue, certificate_standing, status_lists
from consent.data_certificates import DataCertificate
from consent.history import Registry
from consent.keys import KeyUse
from dataspace.db import db


@dataclass(frozen=True)
class Published:
    """A signed list. ``tag`` changes with what it says, and once an hour, so that nobody keeps it beyond its life."""

    token: str
    tag: str


def publish(unverified_list_id: str, now: dt.datetime, *, registry: Registry) -> Published:
    """The list at ``now``, in two statements, however many certificates it is about. Raises NotFound."""
    list_id = status_lists.demand(unverified_list_id)
    query = certificate_standing.standing_query(DataCertificate.status_index).where(DataCertificate.list_id == list_id)
    packed = status_lists.pack(
        (row.status_index, certificate_standing.standing_of(row, now).status) for row in db.session.execute(query)
    )
    key = registry.keyring.signing_key(KeyUse.CERTIFICATES, now)
    uri = certificate_issue.status_uri(registry.issuer, list_id)
    tag = hashlib.sha256(packed + f"{list_id}:{key.kid}:{now:%Y-%m-%dT%H}".encode()).hexdigest()[:32]
    return Published(status_lists.token(packed, uri=uri, now=now, key=key), tag)
