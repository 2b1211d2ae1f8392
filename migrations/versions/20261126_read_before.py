"""What of a file was read before an import stopped is known again by a digest of it; what has stopped begins anew."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_read_before"
down_revision = "20261126_contradicting"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_imports_source_id_fingerprint", "imports")
    op.drop_column("imports", "fingerprint")
    op.add_column("imports", sa.Column("digest", sa.String(64), nullable=False, server_default=""))
    op.create_index("ix_imports_source_id_name", "imports", ["source_id", "name"])


def downgrade() -> None:
    op.drop_index("ix_imports_source_id_name", "imports")
    op.drop_column("imports", "digest")
    op.add_column("imports", sa.Column("fingerprint", sa.String(64), nullable=False, server_default=""))
    op.create_index("ix_imports_source_id_fingerprint", "imports", ["source_id", "fingerprint"])
