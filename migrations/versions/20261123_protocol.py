"""The protocol's second storey: client metadata, certificates, resources, claims, sessions, dynamic registration."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "20261123_protocol"
down_revision = "845dae9c0a86"
branch_labels = None
depends_on = None

DOCUMENT = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
ROW_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("clients", sa.Column("options", DOCUMENT, nullable=False, server_default="{}"))
    op.add_column("clients", sa.Column("registration_digest", sa.String(64)))
    for table in ("authorization_codes", "tokens"):
        op.add_column(table, sa.Column("x5t", sa.String(43)))
        op.add_column(table, sa.Column("resource", sa.String(1000), nullable=False, server_default=""))
        op.add_column(table, sa.Column("claims", DOCUMENT))
        op.add_column(table, sa.Column("sid", sa.String(40)))
    op.create_table(
        "resources",
        sa.Column("uri", sa.String(400), nullable=False),
        sa.Column("token_format", sa.String(10), nullable=False),
        sa.Column("client_id", sa.String(80)),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.client_id"], name="fk_resources_client_id_clients"),
        sa.PrimaryKeyConstraint("uri", name="pk_resources"),
    )
    op.create_table(
        "client_sessions",
        sa.Column("sid", sa.String(40), nullable=False),
        sa.Column("signin_id", sa.String(40), nullable=False),
        sa.Column("client_id", sa.String(80), nullable=False),
        sa.Column("subject", sa.String(80), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT),
        sa.ForeignKeyConstraint(["client_id"], ["clients.client_id"], name="fk_client_sessions_client_id_clients"),
        sa.PrimaryKeyConstraint("sid", name="pk_client_sessions"),
        sa.UniqueConstraint("signin_id", "client_id", name="uq_client_sessions_signin_id_client_id"),
    )
    op.create_index("ix_client_sessions_expires_at", "client_sessions", ["expires_at"])
    op.create_table(
        "logout_notices",
        sa.Column("notice_id", ROW_ID, nullable=False),
        sa.Column("client_id", sa.String(80), nullable=False),
        sa.Column("sid", sa.String(40), nullable=False),
        sa.Column("subject", sa.String(80), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("delivered_at", MOMENT),
        sa.Column("problem", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.client_id"], name="fk_logout_notices_client_id_clients"),
        sa.PrimaryKeyConstraint("notice_id", name="pk_logout_notices"),
    )
    op.create_index("ix_logout_notices_due_at", "logout_notices", ["due_at"])
    op.create_index("ix_logout_notices_created_at", "logout_notices", ["created_at"])
    op.create_index("ix_logout_notices_client_id_created_at", "logout_notices", ["client_id", "created_at"])
    op.create_table(
        "announcements",
        sa.Column("notice_id", ROW_ID, nullable=False),
        sa.Column("jti", sa.String(40), nullable=False),
        sa.Column("client_id", sa.String(80), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("consent_id", sa.String(40)),
        sa.Column("body", DOCUMENT, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("delivered_at", MOMENT),
        sa.Column("problem", sa.String(200), nullable=False),
        sa.ForeignKeyConstraint(["client_id"], ["clients.client_id"], name="fk_announcements_client_id_clients"),
        sa.ForeignKeyConstraint(["consent_id"], ["consents.consent_id"], name="fk_announcements_consent_id_consents"),
        sa.PrimaryKeyConstraint("notice_id", name="pk_announcements"),
        sa.UniqueConstraint("jti", name="uq_announcements_jti"),
    )
    op.create_index("ix_announcements_due_at", "announcements", ["due_at"])
    op.create_index("ix_announcements_created_at", "announcements", ["created_at"])
    op.create_index("ix_announcements_delivered_at_due_at", "announcements", ["delivered_at", "due_at"])
    op.create_index(
        "ix_announcements_client_id_delivered_at_notice_id",
        "announcements",
        ["client_id", "delivered_at", "notice_id"],
    )
    op.create_table(
        "messages",
        sa.Column("message_id", ROW_ID, nullable=False),
        sa.Column("space_id", sa.String(40), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("group", sa.String(20), nullable=False),
        sa.Column("about", sa.String(40), nullable=False),
        sa.Column("once", sa.String(100)),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("read_at", MOMENT),
        sa.PrimaryKeyConstraint("message_id", name="pk_messages"),
        sa.UniqueConstraint("once", name="uq_messages_once"),
    )
    op.create_index("ix_messages_space_id_message_id", "messages", ["space_id", "message_id"])
    op.create_index("ix_messages_space_id_read_at", "messages", ["space_id", "read_at"])
    op.create_index("ix_messages_at", "messages", ["at"])
    op.create_table(
        "quiet_groups",
        sa.Column("space_id", sa.String(40), nullable=False),
        sa.Column("group", sa.String(20), nullable=False),
        sa.PrimaryKeyConstraint("space_id", "group", name="pk_quiet_groups"),
    )
    op.create_table(
        "mail_addresses",
        sa.Column("space_id", sa.String(40), nullable=False),
        sa.Column("language", sa.String(10), nullable=False),
        sa.Column("with_receipts", sa.Boolean(), nullable=False),
        sa.Column("sealed", sa.LargeBinary()),
        sa.Column("sealed_new", sa.LargeBinary()),
        sa.Column("code_sent_at", MOMENT),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("space_id", name="pk_mail_addresses"),
    )
    op.create_table(
        "mails",
        sa.Column("notice_id", ROW_ID, nullable=False),
        sa.Column("space_id", sa.String(40), nullable=False),
        sa.Column("message_id", sa.BigInteger()),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("due_at", MOMENT),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("delivered_at", MOMENT),
        sa.Column("problem", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("notice_id", name="pk_mails"),
    )
    op.create_index("ix_mails_due_at", "mails", ["due_at"])
    op.create_index("ix_mails_created_at", "mails", ["created_at"])
    op.create_index("ix_mails_delivered_at_due_at", "mails", ["delivered_at", "due_at"])
    op.create_table(
        "initial_access_tokens",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("profile", sa.String(10), nullable=False),
        sa.Column("note", sa.String(200), nullable=False),
        sa.Column("created_by", sa.String(40)),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT),
        sa.Column("client_id", sa.String(80)),
        sa.PrimaryKeyConstraint("digest", name="pk_initial_access_tokens"),
    )
    op.create_index("ix_initial_access_tokens_expires_at", "initial_access_tokens", ["expires_at"])
    op.create_index("ix_enrolment_codes_expires_at", "enrolment_codes", ["expires_at"])


def downgrade() -> None:
    op.drop_index("ix_enrolment_codes_expires_at", "enrolment_codes")
    for table in (
        "initial_access_tokens",
        "mails",
        "mail_addresses",
        "quiet_groups",
        "messages",
        "announcements",
        "logout_notices",
        "client_sessions",
        "resources",
    ):
        op.drop_table(table)
    for table in ("authorization_codes", "tokens"):
        for column in ("sid", "claims", "resource", "x5t"):
            op.drop_column(table, column)
    op.drop_column("clients", "registration_digest")
    op.drop_column("clients", "options")
