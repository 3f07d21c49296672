"""An index of the lists of units, jobs and deliveries that a person has seen."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index of `audit_lists.sql`."""
    execute_script(op.get_bind(), read_sql("audit_lists"))
