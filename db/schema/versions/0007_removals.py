"""Bytes that are still to be removed: asked for with the rows that let them go, done behind it, never lost."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE removals (
        sha256 text PRIMARY KEY,
        size_bytes bigint NOT NULL,
        asked_at timestamptz NOT NULL DEFAULT node_now()
    )
    """,
    "COMMENT ON TABLE removals IS 'Blobs that no row needs any more and that are still to be removed'",
    # a commitment can be forgotten only when the deliveries that name it are found without reading all of them
    "CREATE INDEX deliveries_of_commitment ON deliveries (commitment_id) WHERE commitment_id IS NOT NULL",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
