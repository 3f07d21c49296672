-- The clock, the identity of this installation, its roles and its users.

-- Every lease and every time stamp calls this function. A test moves the database's clock by replacing it.
CREATE FUNCTION node_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()';

COMMENT ON FUNCTION node_now() IS 'The clock of the node; replaceable, for tests';

CREATE TABLE installation (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    id uuid NOT NULL,
    secret bytea NOT NULL,
    created_at timestamptz NOT NULL
);

COMMENT ON TABLE installation IS 'One row that identifies this installation; written by the first upgrade and never changed';
COMMENT ON COLUMN installation.only_one IS 'Always true: allows one row only';
COMMENT ON COLUMN installation.id IS 'Root of the UIDs of result objects, so that two installations never derive the same UID';
COMMENT ON COLUMN installation.secret IS 'Key of the patient references (HMAC-SHA256) in audit events';
COMMENT ON COLUMN installation.created_at IS 'When the row was written';

CREATE TABLE heartbeats (
    role text NOT NULL,
    name text NOT NULL,
    at timestamptz NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (role, name)
);

COMMENT ON TABLE heartbeats IS 'Which processes are alive; each process updates its row every few seconds and deletes it when it stops in order';
COMMENT ON COLUMN heartbeats.role IS 'listen, conduct, relay, worker, send or console';
COMMENT ON COLUMN heartbeats.name IS 'Name of the process: host:pid';
COMMENT ON COLUMN heartbeats.at IS 'Time of the last heartbeat';
COMMENT ON COLUMN heartbeats.details IS 'What the process reports about itself, for example its version or how long a destination has been unreachable';

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
);

CREATE INDEX commands_queued ON commands (kind, id) WHERE state = 'queued';

COMMENT ON TABLE commands IS 'Requests of people to a role, for example a C-ECHO to a destination; the role that owns the kind carries them out';
COMMENT ON COLUMN commands.id IS 'Number of the command';
COMMENT ON COLUMN commands.kind IS 'What is to be done';
COMMENT ON COLUMN commands.args IS 'Arguments of the command';
COMMENT ON COLUMN commands.actor IS 'Who asked for it';
COMMENT ON COLUMN commands.state IS 'queued, running, done or failed';
COMMENT ON COLUMN commands.result IS 'Answer of the role';
COMMENT ON COLUMN commands.created_at IS 'When it was asked for';
COMMENT ON COLUMN commands.started_at IS 'When a process took it up';
COMMENT ON COLUMN commands.finished_at IS 'When the answer was written';

CREATE TABLE users (
    id bigserial PRIMARY KEY,
    name text NOT NULL UNIQUE,
    role text NOT NULL,
    password_hash text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT node_now(),
    disabled_at timestamptz
);

COMMENT ON TABLE users IS 'People who may sign in to the console';
COMMENT ON COLUMN users.id IS 'Number of the user';
COMMENT ON COLUMN users.name IS 'Sign-in name';
COMMENT ON COLUMN users.role IS 'What the user may do';
COMMENT ON COLUMN users.password_hash IS 'Hash of the password (argon2)';
COMMENT ON COLUMN users.created_at IS 'When the user was added';
COMMENT ON COLUMN users.disabled_at IS 'Since when the user may not sign in; NULL for an active user';
