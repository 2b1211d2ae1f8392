"""That a package of evidence was made, by whom and why."""

import sqlalchemy as sa
from alembic import op

revision = "20261126_packages"
down_revision = "20261126_walks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "evidence_packages",
        sa.Column("package_id", sa.String(40), nullable=False),
        sa.Column("consent_id", sa.String(40), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("person_id", sa.String(40), nullable=False),
        sa.Column("capacity", sa.String(24), nullable=False),
        sa.Column("reason_code", sa.String(40), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("salt", sa.LargeBinary(16), nullable=False),
        sa.ForeignKeyConstraint(
            ["consent_id"], ["consents.consent_id"], name="fk_evidence_packages_consent_id_consents"
        ),
        sa.PrimaryKeyConstraint("package_id", name="pk_evidence_packages"),
    )
    op.create_index("ix_evidence_packages_consent_id", "evidence_packages", ["consent_id"])


def downgrade() -> None:
    op.drop_table("evidence_packages")
