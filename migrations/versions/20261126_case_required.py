"""Purposes, and consents by them, under which every read names a case."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_case_required"
down_revision = "20261126_logs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("purposes", "consents"):
        op.add_column(table, sa.Column("case_required", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    for table in ("purposes", "consents"):
        op.drop_column(table, "case_required")
