"""What a certificate says is sealed under a key of its own; what is there is sealed anew.

It takes the wrapping key, as the service does. Of a space with a deleted record the prepared copies go: they are asked
for again. Taken back, what certificates say is lost; their lives stay.
"""

import secrets

import sqlalchemy as sa
from alembic import op

from dataspace.sealing import seal, unseal
from dataspace.web.shell import services

revision = "20261126_part_keys"
down_revision = "20261126_comparisons"
branch_labels = None
depends_on = None

SEALED = """
    SELECT c.certificate_id, c.space_id, c.sealed, k.wrapped
    FROM data_certificates c JOIN data_keys k ON k.space_id = c.space_id
    WHERE c.certificate_id = :which AND c.sealed IS NOT NULL AND k.wrapped IS NOT NULL
"""
RESEALED = "UPDATE data_certificates SET sealed = :sealed WHERE certificate_id = :which"
KEPT = "INSERT INTO part_keys (part_id, space_id, wrapped) VALUES (:which, :space, :wrapped)"
STALE = "DELETE FROM archives WHERE space_id IN (SELECT space_id FROM data_keys WHERE records_wrapped IS NOT NULL)"


def upgrade() -> None:
    op.create_table(
        "part_keys",
        sa.Column("part_id", sa.String(40), primary_key=True),
        sa.Column("space_id", sa.String(40), sa.ForeignKey("data_keys.space_id"), nullable=False, index=True),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
    )
    bind, vault = op.get_bind(), services().vault
    bind.execute(sa.text(STALE))
    for which in bind.scalars(sa.text("SELECT certificate_id FROM data_certificates")).all():
        for row in bind.execute(sa.text(SEALED), {"which": which}).all():
            content = unseal(vault.unwrap(row.wrapped, identity=row.space_id), row.sealed, identity=which)
            key = secrets.token_bytes(32)
            bind.execute(sa.text(RESEALED), {"which": which, "sealed": seal(key, content, identity=which)})
            wrapped = vault.wrap(key, identity=which)
            bind.execute(sa.text(KEPT), {"which": which, "space": row.space_id, "wrapped": wrapped})


def downgrade() -> None:
    op.execute("UPDATE data_certificates SET sealed = NULL, emptied_after = NULL")
    op.drop_table("part_keys")
