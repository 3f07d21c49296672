"""The time of audit events comes from a function that the node does not own."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change the default of `audit_events.at`: `audit_time.sql`."""
    execute_script(op.get_bind(), read_sql("audit_time"))
