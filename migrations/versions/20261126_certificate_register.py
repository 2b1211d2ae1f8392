"""Certificates of all spaces in the order in which they were made."""

from alembic import op

revision = "20261126_certificate_register"
down_revision = "20261126_part_keys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_data_certificates_issued_at", "data_certificates", ["issued_at"])


def downgrade() -> None:
    op.drop_index("ix_data_certificates_issued_at", "data_certificates")
