-- Jobs, their inputs and attempts, and the outbox of wake-ups for the broker.

CREATE TABLE jobs (
    id bigserial PRIMARY KEY,
    key text NOT NULL UNIQUE,
    unit_id bigint NOT NULL REFERENCES units,
    revision integer NOT NULL,
    run integer NOT NULL DEFAULT 1,
    model text NOT NULL,
    model_version text NOT NULL,
    pipeline_digest text NOT NULL,
    routes text[] NOT NULL,
    destinations text[] NOT NULL,
    priority text NOT NULL CHECK (priority IN ('routine', 'urgent')),
    shadow boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN
        ('queued', 'running', 'reported', 'delivered', 'failed', 'quarantined', 'cancelled', 'superseded')),
    outcome text CHECK (outcome IN ('findings', 'no_finding', 'abstained', 'not_analysed')),
    reason text NOT NULL DEFAULT '',
    failure_state text CHECK (failure_state IN ('failed', 'quarantined')),
    attempts integer NOT NULL DEFAULT 0,
    not_analysed_attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT node_now(),
    worker text,
    token uuid,
    lease_until timestamptz,
    superseded_by bigint REFERENCES jobs,
    identity jsonb,
    looked_for text NOT NULL DEFAULT '',
    probabilities jsonb NOT NULL DEFAULT '{}',
    notes text[] NOT NULL DEFAULT '{}',
    prepare_s double precision,
    infer_s double precision,
    encode_s double precision,
    evidence jsonb NOT NULL,
    last_received_at timestamptz,
    completed_at timestamptz NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT node_now(),
    started_at timestamptz,
    inferred_at timestamptz,
    reported_at timestamptz,
    delivered_at timestamptz,
    CHECK ((state = 'running') = (token IS NOT NULL)),
    CHECK ((token IS NULL) = (lease_until IS NULL))
);

-- Jobs are claimed in the order of these two indexes, so that the next one is found without reading the queue.
-- 'urgent' sorts after 'routine': priority DESC takes the urgent ones first.
CREATE INDEX jobs_queued ON jobs (priority DESC, shadow, next_attempt_at, id) WHERE state = 'queued';
CREATE INDEX jobs_not_analysed ON jobs (priority DESC, shadow, next_attempt_at, id) WHERE failure_state IS NOT NULL;
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_of_unit ON jobs (unit_id, revision);
-- Refuses a second result of one revision by one pipeline, whatever the program does.
CREATE UNIQUE INDEX jobs_current ON jobs (unit_id, pipeline_digest, revision) WHERE state NOT IN ('superseded', 'cancelled');
-- Jobs that ended since a moment, for an export of the last hour.
CREATE INDEX jobs_ended ON jobs ((coalesce(reported_at, queued_at)));
-- Most jobs end delivered or superseded. There the newest are found without an index.
CREATE INDEX jobs_in_state ON jobs (state, id) WHERE state NOT IN ('delivered', 'superseded');

COMMENT ON TABLE jobs IS 'One analysis of one revision of a unit by one pipeline';
COMMENT ON COLUMN jobs.id IS 'Number of the job';
COMMENT ON COLUMN jobs.key IS 'Job key: hash of the unit, the contents of its instances, the pipeline digest and the run number; the same input never runs twice on the same pipeline';
COMMENT ON COLUMN jobs.unit_id IS 'The unit of analysis';
COMMENT ON COLUMN jobs.revision IS 'Revision of the unit';
COMMENT ON COLUMN jobs.run IS 'Run number: 1, or more for a deliberate repetition';
COMMENT ON COLUMN jobs.model IS 'Name of the model';
COMMENT ON COLUMN jobs.model_version IS 'Version of the model';
COMMENT ON COLUMN jobs.pipeline_digest IS 'Pipeline digest: hash of weights, card and pre- and post-processing version';
COMMENT ON COLUMN jobs.routes IS 'Names of the routes that asked for it';
COMMENT ON COLUMN jobs.destinations IS 'Names of the destinations that receive the result';
COMMENT ON COLUMN jobs.priority IS 'routine or urgent';
COMMENT ON COLUMN jobs.shadow IS 'By a pipeline on trial: the result is stored and compared, never reported or delivered';
COMMENT ON COLUMN jobs.state IS 'queued, running, reported (result committed), delivered (every delivery done), failed (permanent error), quarantined (attempts used up), cancelled or superseded';
COMMENT ON COLUMN jobs.outcome IS 'findings, no_finding, abstained or not_analysed; NULL until a result is committed';
COMMENT ON COLUMN jobs.reason IS 'Why it abstained, was not analysed, failed or was cancelled';
COMMENT ON COLUMN jobs.failure_state IS 'failed or quarantined, the state of a job that fails permanently, while the report that says so is still to be made; else NULL';
COMMENT ON COLUMN jobs.attempts IS 'Attempts to analyse it so far';
COMMENT ON COLUMN jobs.not_analysed_attempts IS 'Attempts to make the report that says why it was not analysed';
COMMENT ON COLUMN jobs.next_attempt_at IS 'It is not claimed before this time';
COMMENT ON COLUMN jobs.worker IS 'Worker that holds the lease; NULL when none does';
COMMENT ON COLUMN jobs.token IS 'Fencing token of the lease: nothing is written with an old one';
COMMENT ON COLUMN jobs.lease_until IS 'When the lease expires unless the worker renews it';
COMMENT ON COLUMN jobs.superseded_by IS 'The job that replaces it';
COMMENT ON COLUMN jobs.identity IS 'Model card entries at the time of the result: name, version, digest, manufacturer, status';
COMMENT ON COLUMN jobs.looked_for IS 'What the model looks for, in words';
COMMENT ON COLUMN jobs.probabilities IS 'Calibrated probability of each class, where the model has classes';
COMMENT ON COLUMN jobs.notes IS 'Remarks on the input and on how it was prepared';
COMMENT ON COLUMN jobs.prepare_s IS 'Seconds to read and prepare the images';
COMMENT ON COLUMN jobs.infer_s IS 'Seconds of inference';
COMMENT ON COLUMN jobs.encode_s IS 'Seconds to encode the result objects';
COMMENT ON COLUMN jobs.evidence IS 'What the decision "the unit is complete" rests on, at this revision';
COMMENT ON COLUMN jobs.last_received_at IS 'When the last instance of the unit was received; NULL for a run that a person asked for';
COMMENT ON COLUMN jobs.completed_at IS 'When the unit was found complete';
COMMENT ON COLUMN jobs.queued_at IS 'When it was queued the last time';
COMMENT ON COLUMN jobs.started_at IS 'When the last attempt began';
COMMENT ON COLUMN jobs.inferred_at IS 'When inference ended';
COMMENT ON COLUMN jobs.reported_at IS 'When the result was committed';
COMMENT ON COLUMN jobs.delivered_at IS 'When its last delivery was done';

CREATE TABLE job_inputs (
    job_id bigint NOT NULL REFERENCES jobs,
    instance_id bigint NOT NULL REFERENCES instances,
    PRIMARY KEY (job_id, instance_id)
);

COMMENT ON TABLE job_inputs IS 'The instances, by content, that the model was given';
COMMENT ON COLUMN job_inputs.job_id IS 'The job';
COMMENT ON COLUMN job_inputs.instance_id IS 'The instance';

CREATE TABLE attempts (
    id bigserial PRIMARY KEY,
    job_id bigint NOT NULL REFERENCES jobs,
    number integer NOT NULL,
    kind text NOT NULL DEFAULT 'analysis' CHECK (kind IN ('analysis', 'explanation')),
    worker text NOT NULL,
    token uuid NOT NULL UNIQUE,
    started_at timestamptz NOT NULL DEFAULT node_now(),
    ended_at timestamptz,
    result text NOT NULL DEFAULT 'running' CHECK (result IN
        ('running', 'reported', 'failed', 'lost', 'released', 'cancelled', 'superseded')),
    error text NOT NULL DEFAULT ''
);

CREATE INDEX attempts_of_job ON attempts (job_id, id);

COMMENT ON TABLE attempts IS 'Attempts to carry out a job; the row is committed before the work begins, so that a job that kills its worker is counted';
COMMENT ON COLUMN attempts.id IS 'Number of the attempt';
COMMENT ON COLUMN attempts.job_id IS 'The job';
COMMENT ON COLUMN attempts.number IS 'Counts the attempts of the job from 1';
COMMENT ON COLUMN attempts.kind IS 'analysis, or explanation: the report that says why the job was not analysed';
COMMENT ON COLUMN attempts.worker IS 'Worker that made it';
COMMENT ON COLUMN attempts.token IS 'Fencing token of its lease';
COMMENT ON COLUMN attempts.started_at IS 'When it began';
COMMENT ON COLUMN attempts.ended_at IS 'When it ended; NULL while it runs';
COMMENT ON COLUMN attempts.result IS 'running, reported, failed, lost (the worker died), released (given back untouched), cancelled or superseded';
COMMENT ON COLUMN attempts.error IS 'Why it failed';

CREATE TABLE outbox (
    id bigserial PRIMARY KEY,
    job_id bigint NOT NULL REFERENCES jobs,
    queue text NOT NULL,
    model text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT node_now(),
    published_at timestamptz
);

CREATE UNIQUE INDEX outbox_pending ON outbox (job_id) WHERE published_at IS NULL;
CREATE INDEX outbox_job ON outbox (job_id, published_at);
CREATE INDEX outbox_pending_order ON outbox (id) WHERE published_at IS NULL;

COMMENT ON TABLE outbox IS 'Wake-ups for the broker, written in the transaction that queues a job. A message carries no state and may be lost or repeated';
COMMENT ON COLUMN outbox.id IS 'Number of the wake-up';
COMMENT ON COLUMN outbox.job_id IS 'The job';
COMMENT ON COLUMN outbox.queue IS 'Queue of the broker: infer.urgent or infer.routine';
COMMENT ON COLUMN outbox.model IS 'Name of the model';
COMMENT ON COLUMN outbox.created_at IS 'When it was written';
COMMENT ON COLUMN outbox.published_at IS 'When the relay gave it to the broker; NULL while it waits';
