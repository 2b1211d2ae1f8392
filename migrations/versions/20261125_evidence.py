"""The log of evidence: what waits for it, the log itself, and the salts beside what it proves."""

import sqlalchemy as sa
from alembic import op

revision = "20261125_evidence"
down_revision = "20261125_sources"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
SALTED = ("accesses", "consent_events", "receipts")


def upgrade() -> None:
    for table in SALTED:
        op.add_column(table, sa.Column("salt", sa.LargeBinary(16)))
    op.create_table(
        "evidence_waiting",
        sa.Column("key", sa.LargeBinary(16), nullable=False),
        sa.Column("entry", sa.LargeBinary(32), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_evidence_waiting"),
    )
    op.create_table(
        "evidence_logs",
        sa.Column("origin", sa.String(200), nullable=False),
        sa.Column("verifier", sa.String(300), nullable=False),
        sa.Column("wrapped_private", sa.LargeBinary(), nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("root", sa.LargeBinary(32), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("origin", name="pk_evidence_logs"),
    )
    op.create_table(
        "evidence_tiles",
        sa.Column("level", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "number", name="pk_evidence_tiles"),
    )
    op.create_table(
        "evidence_positions",
        sa.Column("key", sa.LargeBinary(16), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_evidence_positions"),
    )


def downgrade() -> None:
    for table in ("evidence_positions", "evidence_tiles", "evidence_logs", "evidence_waiting"):
        op.drop_table(table)
    for table in SALTED:
        op.drop_column(table, "salt")
