"""One active pipeline of a name, what stands by, and jobs of shadows, which are never reported."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE models DROP CONSTRAINT models_state_check",
    "ALTER TABLE models ADD CONSTRAINT models_state_check CHECK (state IN ('active', 'standby', 'shadow', 'retired'))",
    "ALTER TABLE models ADD COLUMN origin text NOT NULL DEFAULT 'package' CHECK (origin IN ('package', 'installed'))",
    "ALTER TABLE models ADD COLUMN activated_at timestamptz",
    "COMMENT ON COLUMN models.activated_at IS 'when it became the active one, the last time'",
    # Until now every digest that was served was active: the newest of a name is what serves.
    "UPDATE models SET activated_at = registered_at WHERE state = 'active'",
    """
    UPDATE models m SET state = 'standby'
    WHERE state = 'active' AND EXISTS (SELECT FROM models o WHERE o.name = m.name AND o.state = 'active' AND o.id > m.id)
    """,
    "CREATE UNIQUE INDEX models_active ON models (name) WHERE state = 'active'",
    "ALTER TABLE jobs ADD COLUMN shadow boolean NOT NULL DEFAULT false",
    "COMMENT ON COLUMN jobs.shadow IS 'by a pipeline on trial: stored and compared, never reported or delivered'",
    "DROP INDEX jobs_queued",
    # what is reported comes before what is only compared
    "CREATE INDEX jobs_queued ON jobs (priority DESC, shadow, id) WHERE state = 'queued'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
