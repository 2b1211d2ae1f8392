"""A read whose holder is told later is found by its delivery as well: its recipient may have it proven before."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_proofs"
down_revision = "20261126_derivations"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deferred_accesses", sa.Column("delivery_id", sa.String(40)))
    op.create_index("ix_deferred_accesses_delivery_id", "deferred_accesses", ["delivery_id"])
    table = sa.table("deferred_accesses", *map(sa.column, ("deferred_id", "delivery_id")), sa.column("line", sa.JSON))
    link = op.get_bind()
    for deferred_id, line in link.execute(sa.select(table.c.deferred_id, table.c.line)).all():
        row = sa.update(table).where(table.c.deferred_id == deferred_id)
        link.execute(row.values(delivery_id=line.get("delivery_id")))


def downgrade() -> None:
    op.drop_index("ix_deferred_accesses_delivery_id", "deferred_accesses")
    op.drop_column("deferred_accesses", "delivery_id")
