"""The first schema. Views are no part of revisions: the runner makes them anew after every upgrade."""

from alembic import op

from db.schema.initial import STATEMENTS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
