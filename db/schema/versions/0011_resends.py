"""Deliveries that a person had sent again."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column of `resends.sql`."""
    execute_script(op.get_bind(), read_sql("resends"))
