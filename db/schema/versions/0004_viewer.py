"""Outlines and heat maps of results, for the viewer."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of `viewer.sql`."""
    execute_script(op.get_bind(), read_sql("viewer"))
