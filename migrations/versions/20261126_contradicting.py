"""Which witnesses contradict the log of evidence."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_contradicting"
down_revision = "20261126_proofs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "evidence_witnesses", sa.Column("contradicts", sa.Boolean(), nullable=False, server_default=sa.false())
    )


def downgrade() -> None:
    op.drop_column("evidence_witnesses", "contradicts")
