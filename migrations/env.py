"""Runs migrations on the database of the current application (Flask-Migrate)."""

from typing import Any

import sqlalchemy as sa
from alembic import context
from flask import current_app

from dataspace.db import UTCDateTime

db = current_app.extensions["migrate"].db


def render_item(kind: str, item: Any, autogen: Any) -> str | bool:
    """Write our column type as the plain one that it is in the database, so that migrations outlive our modules."""
    if kind == "type" and isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, sa.JSON):
        autogen.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


if context.is_offline_mode():
    context.configure(
        url=db.engine.url.render_as_string(hide_password=False), target_metadata=db.metadata, literal_binds=True
    )
    with context.begin_transaction():
        context.run_migrations()
else:
    with db.engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=db.metadata,
            render_item=render_item,
            render_as_batch=connection.dialect.name == "sqlite",  # SQLite alters a table by copying it
            compare_type=True,
        )
        with context.begin_transaction():
            context.run_migrations()
