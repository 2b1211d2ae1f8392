"""Items with many rows are read page by page; the pages after the first name it."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_walks"
down_revision = "20261126_witnesses"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("accesses", sa.Column("continues", sa.String(40)))


def downgrade() -> None:
    op.drop_column("accesses", "continues")
