"""The time at which a job failed, was cancelled or was superseded, for exports of what has changed since."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what is in `job_ends.sql`."""
    execute_script(op.get_bind(), read_sql("job_ends"))
