"""Counts of inputs and scores by pipeline, scanner and week."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE model_statistics (
        week date NOT NULL,
        pipeline_digest text NOT NULL,
        scanner text NOT NULL,
        quantity text NOT NULL,
        model text NOT NULL,
        model_version text NOT NULL,
        bins bigint[] NOT NULL,
        PRIMARY KEY (week, pipeline_digest, scanner, quantity)
    )
    """,
    "COMMENT ON TABLE model_statistics IS 'Units by bin (core/policy/drift.py), week from Monday, UTC; nothing of a patient'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
