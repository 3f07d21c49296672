"""Counts that cost nothing to read, alerts and their notices, and bytes that were let go."""

from alembic import op

from db.schema.operations import STATEMENTS

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
