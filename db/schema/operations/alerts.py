"""What is wrong now, and what is still to be told to the webhook."""

STATEMENTS = (
    """
    CREATE TABLE alerts (
        kind text NOT NULL,
        subject text NOT NULL,
        since timestamptz NOT NULL DEFAULT node_now(),
        details jsonb NOT NULL DEFAULT '{}',
        PRIMARY KEY (kind, subject)
    )
    """,
    "COMMENT ON TABLE alerts IS 'What is wrong now, a row each; begin and end are audit events'",
    """
    CREATE TABLE notices (
        id bigserial PRIMARY KEY,
        key text NOT NULL UNIQUE,
        event text NOT NULL,
        subject text NOT NULL,
        details jsonb NOT NULL,
        at timestamptz NOT NULL DEFAULT node_now(),
        state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'sent', 'failed')),
        attempts integer NOT NULL DEFAULT 0,
        next_attempt_at timestamptz NOT NULL DEFAULT node_now(),
        note text NOT NULL DEFAULT ''
    )
    """,
    "COMMENT ON TABLE notices IS 'For the webhook, no patient data; key: the same is told once'",
    "CREATE INDEX notices_due ON notices (next_attempt_at, id) WHERE state = 'pending'",
    "CREATE INDEX notices_at ON notices (at)",
    "CREATE INDEX audit_events_given_up ON audit_events (id) WHERE action IN ('job.failed', 'job.quarantined', 'delivery.failed')",
)
