"""Reads by law: powers, their cases and tokens, how often they were used, and lines of the log that are shown later."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261126_statutory"
down_revision = "20261126_measured"
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    for column in (
        sa.Column("power_id", sa.String(40)),
        sa.Column("power_version", sa.Integer()),
        sa.Column("case_id", sa.String(40)),
    ):
        op.add_column("accesses", column)
    _powers()
    _cases()
    op.create_table(
        "statutory_tokens",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("case_id", sa.String(40), nullable=False),
        sa.Column("power_id", sa.String(40), nullable=False),
        sa.Column("power_version", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.String(80), nullable=False),
        sa.Column("jkt", sa.String(43)),
        sa.Column("x5t", sa.String(43)),
        sa.Column("items", DOCUMENT, nullable=False),
        sa.Column("issued_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("revoked_at", MOMENT),
        sa.PrimaryKeyConstraint("digest", name="pk_statutory_tokens"),
        sa.ForeignKeyConstraint(["case_id"], ["law_cases.case_id"], name="fk_statutory_tokens_case_id_law_cases"),
        sa.ForeignKeyConstraint(
            ["power_id", "power_version"],
            ["powers.power_id", "powers.version"],
            name="fk_statutory_tokens_power_id_power_version_powers",
        ),
    )
    op.create_index("ix_statutory_tokens_expires_at", "statutory_tokens", ["expires_at"])


def _powers() -> None:
    op.create_table(
        "powers",
        sa.Column("power_id", sa.String(40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.String(80), nullable=False),
        *(sa.Column(name, DOCUMENT, nullable=False) for name in ("law", "article", "sentence", "purpose", "objection")),
        sa.Column("holder_kinds", DOCUMENT, nullable=False),
        sa.Column("items", DOCUMENT, nullable=False),
        sa.Column("case_number", sa.String(80), nullable=False),
        sa.Column("case_limit", sa.Integer(), nullable=False),
        sa.Column("day_limit", sa.Integer(), nullable=False),
        sa.Column("deferral", DOCUMENT),
        sa.Column("valid_from", MOMENT, nullable=False),
        sa.Column("valid_until", MOMENT, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("entered_at", MOMENT, nullable=False),
        sa.Column("entered_by", sa.String(40), nullable=False),
        sa.Column("decided_at", MOMENT),
        sa.Column("decided_by", sa.String(40)),
        sa.Column("approved", sa.Boolean(), nullable=False),
        sa.Column("suspended_at", MOMENT),
        sa.Column("superseded_at", MOMENT),
        sa.Column("ended_at", MOMENT),
        sa.Column("ground", sa.String(40)),
        sa.Column("text", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("power_id", "version", name="pk_powers"),
        sa.ForeignKeyConstraint(["client_id"], ["clients.client_id"], name="fk_powers_client_id_clients"),
    )
    op.create_index("ix_powers_client_id", "powers", ["client_id"])


def _cases() -> None:
    op.create_table(
        "law_cases",
        sa.Column("case_id", sa.String(40), nullable=False),
        sa.Column("power_id", sa.String(40), nullable=False),
        sa.Column("power_version", sa.Integer(), nullable=False),
        sa.Column("client_id", sa.String(80), nullable=False),
        sa.Column("space_id", sa.String(40), nullable=False),
        sa.Column("case_no", sa.String(80), nullable=False),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("opened_at", MOMENT, nullable=False),
        sa.Column("hidden_until", MOMENT),
        sa.Column("disclosed_at", MOMENT),
        sa.Column("reads", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("case_id", name="pk_law_cases"),
        sa.UniqueConstraint("power_id", "space_id", "case_no", name="uq_law_cases_power_id_space_id_case_no"),
    )
    op.create_index("ix_law_cases_space_id_opened_at", "law_cases", ["space_id", "opened_at"])
    op.create_index("ix_law_cases_hidden_until", "law_cases", ["hidden_until"])
    op.create_table(
        "law_days",
        sa.Column("row_id", ROW_ID, nullable=False),
        sa.Column("power_id", sa.String(40), nullable=False),
        sa.Column("client_id", sa.String(80), nullable=False),
        sa.Column("day", MOMENT, nullable=False),
        sa.Column("reads", sa.Integer(), nullable=False),
        sa.Column("hidden", sa.Integer(), nullable=False),
        sa.Column("refused", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("row_id", name="pk_law_days"),
        sa.UniqueConstraint("power_id", "day", name="uq_law_days_power_id_day"),
    )
    op.create_index("ix_law_days_day", "law_days", ["day"])
    op.create_table(
        "deferred_accesses",
        sa.Column("deferred_id", ROW_ID, nullable=False),
        sa.Column("case_id", sa.String(40)),
        sa.Column("space_id", sa.String(40), nullable=False),
        sa.Column("shown_at", MOMENT, nullable=False),
        sa.Column("line", DOCUMENT, nullable=False),
        sa.PrimaryKeyConstraint("deferred_id", name="pk_deferred_accesses"),
    )
    op.create_index("ix_deferred_accesses_shown_at", "deferred_accesses", ["shown_at"])
    op.create_index("ix_deferred_accesses_case_id", "deferred_accesses", ["case_id"])


def downgrade() -> None:
    for table in ("statutory_tokens", "deferred_accesses", "law_days", "law_cases", "powers"):
        op.drop_table(table)
    for column in ("case_id", "power_version", "power_id"):
        op.drop_column("accesses", column)
