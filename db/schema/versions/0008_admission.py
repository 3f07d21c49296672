"""New instances are admitted by one function, one or several in one round trip."""

from alembic import op

from db.schema.admission import STATEMENTS

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
