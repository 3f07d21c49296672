"""A job that is given up owes a report that says why: attempts of that other kind, counted apart."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE jobs ADD COLUMN gives_up text CHECK (gives_up IN ('failed', 'quarantined'))",
    "COMMENT ON COLUMN jobs.gives_up IS 'the state of a job that was given up, while the report that says why is still to be made'",
    "ALTER TABLE jobs ADD COLUMN explanations integer NOT NULL DEFAULT 0",
    "COMMENT ON COLUMN jobs.explanations IS 'attempts to make the report that says why there is no answer'",
    "CREATE INDEX jobs_giving_up ON jobs (priority DESC, id) WHERE gives_up IS NOT NULL",
    "ALTER TABLE attempts ADD COLUMN kind text NOT NULL DEFAULT 'analysis' CHECK (kind IN ('analysis', 'explanation'))",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
