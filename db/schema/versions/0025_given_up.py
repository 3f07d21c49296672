"""Deliveries may be `given_up`: a person decided that they are not sent any more."""

from alembic import op

revision = "0025"
down_revision = "0024"

STATES = ("pending", "sending", "stored", "committed", "held", "failed", "withdrawn", "given_up")
MEANING = (
    "pending, sending, stored, committed, held (by a rule or a person), failed (permanent error), withdrawn (cancelled before it was sent) "
    "or given_up (a person decided that it is not sent any more)"
)


def upgrade() -> None:
    """Allow the state."""
    allowed = ", ".join(f"'{state}'" for state in STATES)
    op.execute("ALTER TABLE deliveries DROP CONSTRAINT deliveries_state_check")
    op.execute(f"ALTER TABLE deliveries ADD CONSTRAINT deliveries_state_check CHECK (state IN ({allowed}))")
    op.execute(f"COMMENT ON COLUMN deliveries.state IS '{MEANING}'")
