-- Deliveries of result objects to destinations, and every attempt to send them.

CREATE TABLE deliveries (
    id bigserial PRIMARY KEY,
    job_id bigint NOT NULL REFERENCES jobs,
    report_id bigint NOT NULL REFERENCES reports,
    destination text NOT NULL,
    priority text NOT NULL CHECK (priority IN ('routine', 'urgent')),
    state text NOT NULL CHECK (state IN ('pending', 'sending', 'stored', 'committed', 'held', 'failed', 'withdrawn')),
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT node_now(),
    sender text,
    token uuid,
    lease_until timestamptz,
    status integer,
    note text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT node_now(),
    changed_at timestamptz NOT NULL DEFAULT node_now(),
    stored_at timestamptz,
    commit_wanted boolean NOT NULL DEFAULT false,
    commitment_id bigint,
    committed_at timestamptz,
    resends integer NOT NULL DEFAULT 0,
    UNIQUE (report_id, destination),
    CHECK ((state = 'sending') = (token IS NOT NULL)),
    CHECK ((token IS NULL) = (lease_until IS NULL))
);

CREATE INDEX deliveries_pending ON deliveries (priority DESC, next_attempt_at, id) WHERE state = 'pending';
CREATE INDEX deliveries_leased ON deliveries (lease_until) WHERE state = 'sending';
CREATE INDEX deliveries_of_job ON deliveries (job_id, id);
CREATE INDEX deliveries_uncommitted ON deliveries (destination, id) WHERE state = 'stored' AND commit_wanted;
-- A commitment is deleted only when the deliveries that name it are found without reading the whole table.
CREATE INDEX deliveries_of_commitment ON deliveries (commitment_id) WHERE commitment_id IS NOT NULL;
-- Most deliveries end stored, committed or withdrawn. There the newest are found without an index.
CREATE INDEX deliveries_in_state ON deliveries (state, id) WHERE state NOT IN ('stored', 'committed', 'withdrawn');

COMMENT ON TABLE deliveries IS 'One result object to one destination';
COMMENT ON COLUMN deliveries.id IS 'Number of the delivery';
COMMENT ON COLUMN deliveries.job_id IS 'The job';
COMMENT ON COLUMN deliveries.report_id IS 'The result object';
COMMENT ON COLUMN deliveries.destination IS 'Name of the destination';
COMMENT ON COLUMN deliveries.priority IS 'routine or urgent, as the job';
COMMENT ON COLUMN deliveries.state IS 'pending, sending, stored, committed, held (by a rule or a person), failed (permanent error) or withdrawn (cancelled before it was sent)';
COMMENT ON COLUMN deliveries.attempts IS 'Attempts to send it so far';
COMMENT ON COLUMN deliveries.next_attempt_at IS 'It is not sent before this time';
COMMENT ON COLUMN deliveries.sender IS 'Process that holds the lease; NULL when none does';
COMMENT ON COLUMN deliveries.token IS 'Fencing token of the lease';
COMMENT ON COLUMN deliveries.lease_until IS 'When the lease expires unless the sender renews it';
COMMENT ON COLUMN deliveries.status IS 'Last status of the destination: of the C-STORE response, or of HTTP for STOW-RS';
COMMENT ON COLUMN deliveries.note IS 'Why it is in this state';
COMMENT ON COLUMN deliveries.created_at IS 'When it was created';
COMMENT ON COLUMN deliveries.changed_at IS 'When its state changed the last time';
COMMENT ON COLUMN deliveries.stored_at IS 'When the destination stored it';
COMMENT ON COLUMN deliveries.commit_wanted IS 'The destination is asked for storage commitment: stored is not the end';
COMMENT ON COLUMN deliveries.commitment_id IS 'Storage commitment request that it is part of';
COMMENT ON COLUMN deliveries.committed_at IS 'When the destination committed to store it';
COMMENT ON COLUMN deliveries.resends IS 'How many times it was sent again because it was not committed';

CREATE TABLE delivery_attempts (
    id bigserial PRIMARY KEY,
    delivery_id bigint NOT NULL REFERENCES deliveries,
    number integer NOT NULL,
    sender text NOT NULL,
    token uuid NOT NULL UNIQUE,
    started_at timestamptz NOT NULL DEFAULT node_now(),
    ended_at timestamptz,
    result text NOT NULL DEFAULT 'sending' CHECK (result IN ('sending', 'stored', 'retry', 'failed', 'held', 'lost')),
    status integer,
    note text NOT NULL DEFAULT ''
);

CREATE INDEX attempts_of_delivery ON delivery_attempts (delivery_id, id);

COMMENT ON TABLE delivery_attempts IS 'Attempts to send a delivery; the row is committed before the attempt begins';
COMMENT ON COLUMN delivery_attempts.id IS 'Number of the attempt';
COMMENT ON COLUMN delivery_attempts.delivery_id IS 'The delivery';
COMMENT ON COLUMN delivery_attempts.number IS 'Counts the attempts of the delivery from 1';
COMMENT ON COLUMN delivery_attempts.sender IS 'Process that made it';
COMMENT ON COLUMN delivery_attempts.token IS 'Fencing token of its lease';
COMMENT ON COLUMN delivery_attempts.started_at IS 'When it began';
COMMENT ON COLUMN delivery_attempts.ended_at IS 'When it ended; NULL while it runs';
COMMENT ON COLUMN delivery_attempts.result IS 'sending, stored, retry (transient error), failed (permanent error), held or lost (the sender died)';
COMMENT ON COLUMN delivery_attempts.status IS 'Status of the destination';
COMMENT ON COLUMN delivery_attempts.note IS 'Error or remark';
