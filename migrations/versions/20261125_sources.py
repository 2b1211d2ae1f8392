"""Sources of records: what they bring, how good it is, where an import stands; corrections of what was delivered."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261125_sources"
down_revision = "20261123_protocol"
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
COUNTED = ("received", "added", "corrected", "confirmed", "unchanged", "unknown", "rejected", "fields", "filled")


def upgrade() -> None:
    op.add_column("records", sa.Column("source_id", sa.String(40)))
    op.add_column("records", sa.Column("confirmed_as_of", MOMENT))
    op.add_column("records", sa.Column("corrects", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "sources",
        sa.Column("source_id", sa.String(40), nullable=False),
        sa.Column("name", DOCUMENT, nullable=False),
        sa.Column("authority", sa.String(300), nullable=False),
        sa.Column("item_ids", DOCUMENT, nullable=False),
        sa.Column("kind", sa.String(10), nullable=False),
        sa.Column("address", sa.String(2000), nullable=False),
        sa.Column("every_seconds", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.String(80)),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("loaded_at", MOMENT, nullable=False),
        sa.Column("etag", sa.String(300), nullable=False),
        sa.Column("last_modified", sa.String(100), nullable=False),
        sa.Column("cursor", sa.String(500), nullable=False),
        sa.Column("due_at", MOMENT),
        sa.Column("heard_at", MOMENT),
        sa.Column("failing_since", MOMENT),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("source_id", name="pk_sources"),
        sa.UniqueConstraint("client_id", name="uq_sources_client_id"),
    )
    op.create_index("ix_sources_due_at", "sources", ["due_at"])
    op.create_table(
        "source_days",
        sa.Column("row_id", ROW_ID, nullable=False),
        sa.Column("source_id", sa.String(40), nullable=False),
        sa.Column("item_id", sa.String(60), nullable=False),
        sa.Column("day", MOMENT, nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in COUNTED),
        sa.Column("newest_as_of", MOMENT),
        sa.PrimaryKeyConstraint("row_id", name="pk_source_days"),
        sa.UniqueConstraint("source_id", "item_id", "day", name="uq_source_days_source_id_item_id_day"),
    )
    op.create_index("ix_source_days_day", "source_days", ["day"])
    op.create_table(
        "source_rejections",
        sa.Column("rejection_id", ROW_ID, nullable=False),
        sa.Column("source_id", sa.String(40), nullable=False),
        sa.Column("item_id", sa.String(60), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(30), nullable=False),
        sa.Column("field", sa.String(60), nullable=False),
        sa.PrimaryKeyConstraint("rejection_id", name="pk_source_rejections"),
    )
    op.create_index("ix_source_rejections_at", "source_rejections", ["at"])
    op.create_index("ix_source_rejections_source_id_rejection_id", "source_rejections", ["source_id", "rejection_id"])
    op.create_table(
        "imports",
        sa.Column("import_id", sa.String(40), nullable=False),
        sa.Column("source_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.BigInteger(), nullable=False),
        sa.Column("received", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("unchanged", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.PrimaryKeyConstraint("import_id", name="pk_imports"),
    )
    op.create_index("ix_imports_source_id_fingerprint", "imports", ["source_id", "fingerprint"])
    op.create_table(
        "corrections",
        sa.Column("record_id", sa.String(40), nullable=False),
        sa.Column("previous_record_id", sa.String(40), nullable=False),
        sa.Column("space_id", sa.String(40), nullable=False),
        sa.Column("item_id", sa.String(60), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("told_at", MOMENT),
        sa.PrimaryKeyConstraint("record_id", name="pk_corrections"),
    )
    op.create_index("ix_corrections_space_id_item_id", "corrections", ["space_id", "item_id"])
    untold = sa.text("told_at IS NULL")
    op.create_index("ix_corrections_untold", "corrections", ["at"], sqlite_where=untold, postgresql_where=untold)


def downgrade() -> None:
    for table in ("corrections", "imports", "source_rejections", "source_days", "sources"):
        op.drop_table(table)
    for column in ("corrects", "confirmed_as_of", "source_id"):
        op.drop_column("records", column)
