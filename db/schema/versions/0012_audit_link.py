"""The function that links audit events, with the rights of the owner of the audit trail."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the function of `audit_link.sql`."""
    execute_script(op.get_bind(), read_sql("audit_link"))
