"""Corrections name the case that they answer, and are found by the version that was wrong."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_corrections_for_cases"
down_revision = "20261126_published"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("corrections", sa.Column("case_number", sa.String(20)))
    op.create_index("ix_corrections_previous_record_id", "corrections", ["previous_record_id"])


def downgrade() -> None:
    op.drop_index("ix_corrections_previous_record_id", "corrections")
    op.drop_column("corrections", "case_number")
