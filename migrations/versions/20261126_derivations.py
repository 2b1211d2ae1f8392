"""How items are computed that we compute ourselves."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "20261126_derivations"
down_revision = "20261126_case_required"
branch_labels = None
depends_on = None


def upgrade() -> None:
    document = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    op.add_column("data_items", sa.Column("derivation", document, nullable=True))


def downgrade() -> None:
    op.drop_column("data_items", "derivation")
