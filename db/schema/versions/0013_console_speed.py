"""Indexes for the pages of the console, and the text that the worklist searches."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column and the indexes of `console_speed.sql`."""
    execute_script(op.get_bind(), read_sql("console_speed"))
