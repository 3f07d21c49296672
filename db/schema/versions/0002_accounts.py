"""Accounts of the console: sessions, invitations, failed sign-ins, second factor."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables of `accounts.sql`."""
    execute_script(op.get_bind(), read_sql("accounts"))
