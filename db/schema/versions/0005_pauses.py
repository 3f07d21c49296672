"""Routes and destinations that a person has paused."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of `pauses.sql`."""
    execute_script(op.get_bind(), read_sql("pauses"))
