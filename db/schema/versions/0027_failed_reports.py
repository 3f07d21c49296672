"""A storage commitment report that could not be sent may be `given_up`; an index of those that a person has to look at."""

from alembic import op

revision = "0027"
down_revision = "0026"

MEANING = (
    "pending: the report is to be sent. answered: it was sent. failed: it could not be sent. "
    "given_up: a person decided that it is not sent any more"
)


def upgrade() -> None:
    """Allow the state and add the index."""
    op.execute("ALTER TABLE source_commitment_requests DROP CONSTRAINT source_commitment_requests_state_check")
    op.execute(
        "ALTER TABLE source_commitment_requests ADD CONSTRAINT source_commitment_requests_state_check "
        "CHECK (state IN ('pending', 'answered', 'failed', 'given_up'))"
    )
    op.execute("CREATE INDEX source_commitment_requests_failed ON source_commitment_requests (id) WHERE state = 'failed'")
    op.execute(f"COMMENT ON COLUMN source_commitment_requests.state IS '{MEANING}'")
