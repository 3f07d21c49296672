"""The oldest of the quarantine are found without reading all of it: a flood of refusals must not grow dearer with each."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX quarantine_oldest ON quarantine (last_at, id)")
