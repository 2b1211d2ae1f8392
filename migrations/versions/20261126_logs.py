"""A log of evidence may be ended and another begun: tiles and positions say of which log they are."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_logs"
down_revision = "20261126_corrections_for_cases"
branch_labels = None
depends_on = None

FIRST = "1"
OF_A_LOG = {"evidence_logs": "number", "evidence_tiles": "log", "evidence_positions": "log"}


def upgrade() -> None:
    for table, column in OF_A_LOG.items():
        with op.batch_alter_table(table) as batch_op:
            # With a value for the rows that are there, none for those to come.
            batch_op.add_column(sa.Column(column, sa.SmallInteger(), nullable=False, server_default=FIRST))
        with op.batch_alter_table(table) as batch_op:
            batch_op.alter_column(column, existing_type=sa.SmallInteger(), server_default=None)
    with op.batch_alter_table("evidence_logs") as batch_op:
        batch_op.create_unique_constraint("uq_evidence_logs_number", ["number"])
        batch_op.add_column(sa.Column("ended_at", sa.DateTime(timezone=True)))
        batch_op.alter_column("wrapped_private", existing_type=sa.LargeBinary(), nullable=True)
    _key("log", "level", "number")


def downgrade() -> None:
    # Only the first log is left: there was no other.
    for table, column in OF_A_LOG.items():
        op.execute(f"DELETE FROM {table} WHERE {column} > {FIRST}")  # noqa: S608 - our own names
    _key("level", "number")
    with op.batch_alter_table("evidence_logs") as batch_op:
        batch_op.drop_constraint("uq_evidence_logs_number", type_="unique")
        batch_op.alter_column("wrapped_private", existing_type=sa.LargeBinary(), nullable=False)
        batch_op.drop_column("ended_at")
    for table, column in OF_A_LOG.items():
        with op.batch_alter_table(table) as batch_op:
            batch_op.drop_column(column)


def _key(*columns: str) -> None:
    with op.batch_alter_table("evidence_tiles") as batch_op:
        batch_op.drop_constraint("pk_evidence_tiles", type_="primary")
        batch_op.create_primary_key("pk_evidence_tiles", list(columns))
