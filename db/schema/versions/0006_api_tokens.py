"""Tokens for the API."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of `api_tokens.sql`."""
    execute_script(op.get_bind(), read_sql("api_tokens"))
