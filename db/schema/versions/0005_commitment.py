"""Storage commitment, both ways: what we ask destinations, and what sources ask us."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE deliveries ADD COLUMN commit_wanted boolean NOT NULL DEFAULT false",
    "COMMENT ON COLUMN deliveries.commit_wanted IS 'stored is not enough: the destination is asked for storage commitment'",
    "ALTER TABLE deliveries ADD COLUMN resends integer NOT NULL DEFAULT 0",
    "ALTER TABLE deliveries ADD COLUMN committed_at timestamptz",
    """
    CREATE TABLE commitments (
        id bigserial PRIMARY KEY,
        destination text NOT NULL,
        transaction_uid text NOT NULL UNIQUE,
        state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'asked', 'answered', 'unanswered')),
        asks integer NOT NULL DEFAULT 0,
        next_at timestamptz NOT NULL DEFAULT node_now(),
        created_at timestamptz NOT NULL DEFAULT node_now(),
        asked_at timestamptz,
        answered_at timestamptz,
        note text NOT NULL DEFAULT ''
    )
    """,
    "COMMENT ON TABLE commitments IS 'Our requests for storage commitment. unanswered: asked again under another Transaction UID'",
    "CREATE INDEX commitments_due ON commitments (destination, next_at) WHERE state IN ('waiting', 'asked')",
    "ALTER TABLE deliveries ADD COLUMN commitment_id bigint REFERENCES commitments",
    "CREATE INDEX deliveries_uncommitted ON deliveries (destination, id) WHERE state = 'stored' AND commit_wanted",
    """
    CREATE TABLE commitment_items (
        commitment_id bigint NOT NULL REFERENCES commitments,
        delivery_id bigint NOT NULL REFERENCES deliveries,
        resend integer NOT NULL,
        PRIMARY KEY (commitment_id, delivery_id)
    )
    """,
    "COMMENT ON COLUMN commitment_items.resend IS 'deliveries.resends when it was asked: answers to an earlier sending do not count'",
    """
    CREATE TABLE commitment_answers (
        id bigserial PRIMARY KEY,
        source text NOT NULL,
        transaction_uid text NOT NULL,
        sop_class_uids text[] NOT NULL,
        sop_instance_uids text[] NOT NULL,
        state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'answered', 'failed')),
        attempts integer NOT NULL DEFAULT 0,
        next_at timestamptz NOT NULL DEFAULT node_now(),
        asked_at timestamptz NOT NULL DEFAULT node_now(),
        answered_at timestamptz,
        held integer,
        note text NOT NULL DEFAULT '',
        UNIQUE (source, transaction_uid)
    )
    """,
    "COMMENT ON TABLE commitment_answers IS 'Requests of sources for storage commitment and our answers; held: instances that are safe'",
    "CREATE INDEX commitment_answers_due ON commitment_answers (next_at) WHERE state = 'pending'",
    "ALTER TABLE units ADD COLUMN requested integer",
    "ALTER TABLE units ADD COLUMN requested_at timestamptz",
    "COMMENT ON COLUMN units.requested IS 'instances held that one storage commitment request listed, all of it held'",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
