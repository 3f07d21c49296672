"""Uploads of the console."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables of `uploads.sql`."""
    execute_script(op.get_bind(), read_sql("uploads"))
