"""`blob_removals` keeps a removal for a while after it was carried out (decision 0039)."""

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Add the column `removed_at`."""
    op.execute("ALTER TABLE blob_removals ADD COLUMN removed_at timestamptz")
    op.execute("COMMENT ON COLUMN blob_removals.removed_at IS 'When the file was removed; NULL while that is still to be done'")
    meaning = "Blobs that no row needs any more: their files are to be removed, or were removed in the last hour"
    op.execute(f"COMMENT ON TABLE blob_removals IS '{meaning}'")
