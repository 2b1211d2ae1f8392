"""SQLite writes a line of the access log and its entry in one statement, to a view (dataspace/entered.py)."""

from alembic import op

revision = "20261126_entered"
down_revision = "20261126_read_before"
branch_labels = None
depends_on = None

COLUMNS = """at, space_id, consent_id, consent_version, client_id, recipient, purpose, reference_no, item_ids, action, outcome, reason, read_no, window_start, window_no, compare_no, delivery_id, continues, salt, record_ids, response_digest, power_id, power_version, case_id"""
VALUES = ", ".join(f"NEW.{name}" for name in COLUMNS.split(", "))


def upgrade() -> None:
    if op.get_bind().dialect.name != "sqlite":
        return
    op.execute(
        f"CREATE VIEW accesses_entered AS SELECT {COLUMNS}, key AS entry_key, entry AS entry_digest "  # noqa: S608
        "FROM accesses, evidence_waiting WHERE 0"
    )
    first = f"INSERT INTO accesses ({COLUMNS}) VALUES ({VALUES})"  # noqa: S608
    second = "INSERT INTO evidence_waiting (key, entry) VALUES (NEW.entry_key, NEW.entry_digest)"
    op.execute(
        f"CREATE TRIGGER accesses_entered_insert INSTEAD OF INSERT ON accesses_entered BEGIN {first}; {second}; END"
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP VIEW accesses_entered")
