"""A record can be deleted by itself: the others of its space get another key."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_erased"
down_revision = "20261126_statutory"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("data_keys", sa.Column("records_wrapped", sa.LargeBinary()))
    op.add_column("records", sa.Column("erased_at", sa.DateTime(timezone=True)))


def downgrade() -> None:
    op.drop_column("records", "erased_at")
    op.drop_column("data_keys", "records_wrapped")
