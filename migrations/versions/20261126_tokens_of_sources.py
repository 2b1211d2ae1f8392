"""Sources that ask for a token."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_tokens_of_sources"
down_revision = "20261126_packages"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("sources", sa.Column("credential", sa.LargeBinary()))


def downgrade() -> None:
    op.drop_column("sources", "credential")
