"""Certificates over delivered data, their lives, the lists of their statuses, links by which they are shown."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261126_certificates"
down_revision = "20261126_erased"
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "status_lists",
        sa.Column("list_id", sa.String(40), primary_key=True),
        sa.Column("sequence", sa.LargeBinary(), nullable=False),
        sa.Column("given", sa.Integer(), nullable=False),
        sa.Column("is_open", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
    )
    op.create_index(
        "uq_status_lists_open",
        "status_lists",
        ["is_open"],
        unique=True,
        sqlite_where=sa.text("is_open"),
        postgresql_where=sa.text("is_open"),
    )
    op.create_table(
        "data_certificates",
        sa.Column("certificate_id", sa.String(40), primary_key=True),
        sa.Column("space_id", sa.String(40), nullable=False),
        sa.Column("consent_id", sa.String(40), sa.ForeignKey("consents.consent_id"), nullable=False),
        sa.Column("consent_version", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.String(80), nullable=False),
        sa.Column("made_by", sa.String(10), nullable=False),
        sa.Column("item_id", sa.String(60), nullable=False),
        sa.Column("item_version", sa.Integer(), nullable=False),
        sa.Column("field_ids", DOCUMENT, nullable=False),
        sa.Column("record_id", sa.String(40)),
        sa.Column("delivery_id", sa.String(40)),
        sa.Column("sealed", sa.LargeBinary()),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("list_id", sa.String(40), sa.ForeignKey("status_lists.list_id"), nullable=False),
        sa.Column("status_index", sa.Integer(), nullable=False),
        sa.Column("stage", sa.String(10), nullable=False),
        sa.Column("last_seq", sa.Integer(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("issued_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("emptied_after", MOMENT),
        sa.Column("holder_froze_at", MOMENT),
        sa.Column("office_froze_at", MOMENT),
        sa.Column("consent_froze_at", MOMENT),
        sa.UniqueConstraint("list_id", "status_index"),
    )
    for columns in (["space_id", "issued_at"], ["consent_id", "stage"], ["stage", "expires_at"], ["emptied_after"]):
        op.create_index(f"ix_data_certificates_{'_'.join(columns)}", "data_certificates", columns)
    op.create_table(
        "certificate_steps",
        sa.Column("step_id", ROW_ID, primary_key=True),
        sa.Column("certificate_id", sa.String(40), sa.ForeignKey("data_certificates.certificate_id"), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("by", sa.String(10), nullable=False),
        sa.Column("actor_id", sa.String(40)),
        sa.Column("reason_code", sa.String(40)),
        sa.Column("sealed", sa.LargeBinary()),
        sa.Column("salt", sa.LargeBinary(16)),
        sa.UniqueConstraint("certificate_id", "seq"),
    )
    op.create_table(
        "presentations",
        sa.Column("presentation_id", sa.String(40), primary_key=True),
        sa.Column("certificate_id", sa.String(40), sa.ForeignKey("data_certificates.certificate_id"), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("secret_digest", sa.LargeBinary(32), nullable=False, unique=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("opened_at", MOMENT),
        sa.Column("opened_by", sa.LargeBinary(32)),
        sa.Column("seen_until", MOMENT),
        sa.Column("ended_at", MOMENT),
    )
    op.create_index("ix_presentations_certificate_id_expires_at", "presentations", ["certificate_id", "expires_at"])
    op.create_index("ix_presentations_expires_at", "presentations", ["expires_at"])


def downgrade() -> None:
    for table in ("presentations", "certificate_steps", "data_certificates", "status_lists"):
        op.drop_table(table)
