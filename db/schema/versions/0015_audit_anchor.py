"""The last anchor of the audit trail, for console and status page."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of `audit_anchor.sql`."""
    execute_script(op.get_bind(), read_sql("audit_anchor"))
