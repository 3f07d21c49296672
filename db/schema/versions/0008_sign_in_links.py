"""Links with which a user signs in once."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of `sign_in_links.sql`."""
    execute_script(op.get_bind(), read_sql("sign_in_links"))
