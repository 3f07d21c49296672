"""An index of the times at which deliveries changed, for exports of what has changed since."""

from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Add the index."""
    op.execute("CREATE INDEX deliveries_changed ON deliveries (changed_at)")
