"""Comparisons of a consent are numbered, so that no more are answered in a day than may be."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_comparisons"
down_revision = "20261126_tokens_of_sources"
branch_labels = None
depends_on = None

INDEX, NUMBERED = "ix_accesses_consent_id_compare_no", sa.text("compare_no IS NOT NULL")


def upgrade() -> None:
    op.add_column("accesses", sa.Column("compare_no", sa.Integer()))
    op.create_index(
        INDEX, "accesses", ["consent_id", "compare_no"], unique=True, sqlite_where=NUMBERED, postgresql_where=NUMBERED
    )


def downgrade() -> None:
    op.drop_index(INDEX, "accesses")
    op.drop_column("accesses", "compare_no")
