"""The node itself: its clock, its identity, its roles' heartbeats and commands, its users."""

BASE = (
    # Every lease and time stamp asks this one function: a test moves the database's clock by replacing it.
    "CREATE FUNCTION node_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()'",
    """
    CREATE TABLE installation (
        only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
        id uuid NOT NULL,
        secret bytea NOT NULL,
        created_at timestamptz NOT NULL
    )
    """,
    "COMMENT ON TABLE installation IS 'id: root of the result UIDs. secret: key of the patient references in audit events'",
)

STATEMENTS = (
    """
    CREATE TABLE heartbeats (
        role text NOT NULL,
        name text NOT NULL,
        at timestamptz NOT NULL,
        details jsonb NOT NULL DEFAULT '{}',
        PRIMARY KEY (role, name)
    )
    """,
    """
    CREATE TABLE commands (
        id bigserial PRIMARY KEY,
        kind text NOT NULL,
        args jsonb NOT NULL,
        actor text NOT NULL,
        state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed')),
        result jsonb,
        created_at timestamptz NOT NULL DEFAULT node_now(),
        started_at timestamptz,
        finished_at timestamptz
    )
    """,
    "COMMENT ON TABLE commands IS 'What a person asked of a role; the role that owns the kind carries it out'",
    "CREATE INDEX commands_queued ON commands (kind, id) WHERE state = 'queued'",
    """
    CREATE TABLE users (
        id bigserial PRIMARY KEY,
        name text NOT NULL UNIQUE,
        role text NOT NULL,
        password_hash text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT node_now(),
        disabled_at timestamptz
    )
    """,
)
