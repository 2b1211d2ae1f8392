"""Which checkpoint is served: a new one waits some seconds for its witnesses."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_published"
down_revision = "20261126_made_packages"
branch_labels = None
depends_on = None

TYPES = {
    "published_size": sa.BigInteger(),
    "published_note": sa.LargeBinary(),
    "held_since": sa.DateTime(timezone=True),
}


def upgrade() -> None:
    for name, kind in TYPES.items():
        op.add_column("evidence_logs", sa.Column(name, kind))
    op.execute("UPDATE evidence_logs SET published_size = size, published_note = note, held_since = created_at")
    with op.batch_alter_table("evidence_logs") as batch_op:
        for name, kind in TYPES.items():
            batch_op.alter_column(name, existing_type=kind, nullable=False)


def downgrade() -> None:
    for name in TYPES:
        op.drop_column("evidence_logs", name)
