"""Packages of evidence are made by the worker, as archives are."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_made_packages"
down_revision = "20261126_certificate_register"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("archives", sa.Column("consent_id", sa.String(40)))
    op.add_column("archives", sa.Column("capacity", sa.String(24)))
    op.add_column("archives", sa.Column("reason_code", sa.String(40)))
    op.add_column("archives", sa.Column("text", sa.Text()))
    op.create_index("ix_archives_consent_id", "archives", ["consent_id"])


def downgrade() -> None:
    op.execute("DELETE FROM archives WHERE consent_id IS NOT NULL")
    op.drop_index("ix_archives_consent_id", "archives")
    for name in ("text", "reason_code", "capacity", "consent_id"):
        op.drop_column("archives", name)
