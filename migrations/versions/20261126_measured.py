"""How long things take, as counts; when the head of the log of evidence was signed."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_measured"
down_revision = "20261125_lineage"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("evidence_logs", sa.Column("signed_at", MOMENT))
    op.create_table(
        "measured_times",
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("bucket", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("latest", sa.Double(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("kind", "bucket", name="pk_measured_times"),
    )


def downgrade() -> None:
    op.drop_table("measured_times")
    op.drop_column("evidence_logs", "signed_at")
