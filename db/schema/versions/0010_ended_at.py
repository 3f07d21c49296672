"""Found by an index: what ended since a moment (an export of the last hour), and the few that are in a state that asks for somebody."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE INDEX jobs_ended ON jobs ((coalesce(reported_at, queued_at)))")
    op.execute("CREATE INDEX units_ended ON units (completed_at) WHERE state = 'complete' AND outcome IS NOT NULL")
    # What most rows end as needs none: there the newest are found at once.
    op.execute("CREATE INDEX jobs_in_state ON jobs (state, id) WHERE state NOT IN ('delivered', 'superseded')")
    op.execute("CREATE INDEX deliveries_in_state ON deliveries (state, id) WHERE state NOT IN ('stored', 'committed', 'withdrawn')")
