"""Jobs are claimed in the order of their indexes, so that the next one is found without reading the queue."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DROP INDEX jobs_queued")
    op.execute("CREATE INDEX jobs_queued ON jobs (priority DESC, shadow, next_attempt_at, id) WHERE state = 'queued'")
    op.execute("DROP INDEX jobs_giving_up")
    op.execute("CREATE INDEX jobs_giving_up ON jobs (priority DESC, shadow, next_attempt_at, id) WHERE gives_up IS NOT NULL")
