"""What is to be done: models, jobs, their inputs and attempts, and the outbox of wake-ups."""

STATEMENTS = (
    """
    CREATE TABLE models (
        id bigserial PRIMARY KEY,
        name text NOT NULL,
        version text NOT NULL,
        digest text NOT NULL UNIQUE,
        title text NOT NULL,
        manufacturer text NOT NULL,
        status text NOT NULL,
        not_for text NOT NULL,
        state text NOT NULL CHECK (state IN ('active', 'shadow', 'retired')),
        registered_at timestamptz NOT NULL DEFAULT node_now()
    )
    """,
    "COMMENT ON TABLE models IS 'Every pipeline digest that was ever served here; nothing is reported by a retired one'",
    """
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
        state text NOT NULL DEFAULT 'queued' CHECK (state IN
            ('queued', 'running', 'reported', 'delivered', 'failed', 'quarantined', 'cancelled', 'superseded')),
        outcome text CHECK (outcome IN ('findings', 'no_finding', 'abstained', 'not_analysed')),
        reason text NOT NULL DEFAULT '',
        attempts integer NOT NULL DEFAULT 0,
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
        completed_at timestamptz NOT NULL,
        queued_at timestamptz NOT NULL DEFAULT node_now(),
        started_at timestamptz,
        inferred_at timestamptz,
        reported_at timestamptz,
        delivered_at timestamptz,
        CHECK ((state = 'running') = (token IS NOT NULL)),
        CHECK ((token IS NULL) = (lease_until IS NULL))
    )
    """,
    "COMMENT ON COLUMN jobs.evidence IS 'why the unit was taken to be complete at this revision'",
    "COMMENT ON TABLE jobs IS 'One unit at one revision on one pipeline; key = hash of the unit, its contents and the pipeline'",
    # 'urgent' sorts after 'routine': priority DESC takes the urgent first
    "CREATE INDEX jobs_queued ON jobs (priority DESC, id) WHERE state = 'queued'",
    "CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 'running'",
    "CREATE INDEX jobs_of_unit ON jobs (unit_id, revision)",
    # the last line against two results of one revision by one pipeline
    "CREATE UNIQUE INDEX jobs_current ON jobs (unit_id, pipeline_digest, revision) WHERE state NOT IN ('superseded', 'cancelled')",
    """
    CREATE TABLE job_inputs (
        job_id bigint NOT NULL REFERENCES jobs,
        instance_id bigint NOT NULL REFERENCES instances,
        PRIMARY KEY (job_id, instance_id)
    )
    """,
    "COMMENT ON TABLE job_inputs IS 'Which contents the model saw'",
    """
    CREATE TABLE attempts (
        id bigserial PRIMARY KEY,
        job_id bigint NOT NULL REFERENCES jobs,
        number integer NOT NULL,
        worker text NOT NULL,
        token uuid NOT NULL UNIQUE,
        started_at timestamptz NOT NULL DEFAULT node_now(),
        ended_at timestamptz,
        result text NOT NULL DEFAULT 'running' CHECK (result IN
            ('running', 'reported', 'failed', 'lost', 'released', 'cancelled', 'superseded')),
        error text NOT NULL DEFAULT ''
    )
    """,
    "COMMENT ON TABLE attempts IS 'Written before the work starts, so that a job that kills its worker is counted'",
    "CREATE INDEX attempts_of_job ON attempts (job_id, id)",
    """
    CREATE TABLE outbox (
        id bigserial PRIMARY KEY,
        job_id bigint NOT NULL REFERENCES jobs,
        queue text NOT NULL,
        model text NOT NULL,
        created_at timestamptz NOT NULL DEFAULT node_now(),
        published_at timestamptz
    )
    """,
    "COMMENT ON TABLE outbox IS 'Wake-ups for the broker; a message carries no state and may be lost or doubled'",
    "CREATE UNIQUE INDEX outbox_pending ON outbox (job_id) WHERE published_at IS NULL",
    "CREATE INDEX outbox_job ON outbox (job_id, published_at)",
    "CREATE INDEX outbox_pending_order ON outbox (id) WHERE published_at IS NULL",
)
