"""Witnesses of the log of evidence: what each has cosigned last, and the last checkpoint that enough have cosigned."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_witnesses"
down_revision = "20261126_certificates"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("evidence_logs", sa.Column("cosigned_size", sa.BigInteger()))
    op.add_column("evidence_logs", sa.Column("cosigned_note", sa.LargeBinary()))
    op.create_table(
        "evidence_witnesses",
        sa.Column("verifier", sa.String(300), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(32)),
        sa.Column("signature", sa.String(400), nullable=False),
        sa.Column("cosigned_at", MOMENT),
        sa.Column("due_at", MOMENT, nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("verifier", name="pk_evidence_witnesses"),
    )


def downgrade() -> None:
    op.drop_table("evidence_witnesses")
    op.drop_column("evidence_logs", "cosigned_note")
    op.drop_column("evidence_logs", "cosigned_size")
