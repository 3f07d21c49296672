"""Verdicts of clinicians, releases of held results, and assessments."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables and columns of `verdicts.sql`."""
    execute_script(op.get_bind(), read_sql("verdicts"))
