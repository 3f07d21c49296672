"""Saved views of the worklist, and an index of refused association requests."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table and the index of `console.sql`."""
    execute_script(op.get_bind(), read_sql("console"))
