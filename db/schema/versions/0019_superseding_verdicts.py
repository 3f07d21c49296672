"""An index of the verdicts that supersede others."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index of `superseding_verdicts.sql`."""
    execute_script(op.get_bind(), read_sql("superseding_verdicts"))
