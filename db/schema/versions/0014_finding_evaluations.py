"""Qualitative evaluations of findings."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column of `finding_evaluations.sql`."""
    execute_script(op.get_bind(), read_sql("finding_evaluations"))
