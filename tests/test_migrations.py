"""The models and the migrations say the same, on both databases."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from flask import Flask
from flask_migrate import downgrade, upgrade

from dataspace.db import db


def differences() -> list[object]:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, db.metadata))


def views() -> list[tuple[str, str]]:
    """Name and text of what is made on SQLite beside tables."""
    if db.engine.dialect.name != "sqlite":
        return []
    with db.engine.connect() as connection:
        made = "SELECT name, sql FROM sqlite_master WHERE type IN ('view', 'trigger') ORDER BY name"
        return [(name, text) for name, text in connection.execute(sa.text(made))]


def test_migrations_make_what_the_models_say(app: Flask) -> None:
    made = views()
    db.drop_all()
    assert views() == []
    upgrade(directory="migrations")
    assert differences() == []
    assert views() == made
    assert [name for name, _text in made] == ["accesses_entered", "accesses_entered_insert"] * (
        db.engine.dialect.name == "sqlite"
    )


@pytest.mark.damages_log
def test_the_first_migration_can_be_taken_back(app: Flask) -> None:
    db.drop_all()
    upgrade(directory="migrations")
    downgrade(directory="migrations", revision="base")
    assert set(sa.inspect(db.engine).get_table_names()) <= {"alembic_version"}
