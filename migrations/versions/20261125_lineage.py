"""Lineage: which versions of records an answered read has delivered, and the digest of the answer."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261125_lineage"
down_revision = "20261125_evidence"
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("accesses", sa.Column("record_ids", DOCUMENT))
    op.add_column("accesses", sa.Column("response_digest", sa.String(64)))
    op.create_index("ix_accesses_delivery_id", "accesses", ["delivery_id"])


def downgrade() -> None:
    op.drop_index("ix_accesses_delivery_id", "accesses")
    for column in ("response_digest", "record_ids"):
        op.drop_column("accesses", column)
