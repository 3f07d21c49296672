"""What came out: findings, result objects, and their way to each destination."""

STATEMENTS = (
    """
    CREATE TABLE findings (
        id bigserial PRIMARY KEY,
        job_id bigint NOT NULL REFERENCES jobs,
        ordinal integer NOT NULL,
        label text NOT NULL,
        code_value text NOT NULL,
        code_scheme text NOT NULL,
        code_meaning text NOT NULL,
        probability double precision,
        score double precision,
        tier text NOT NULL CHECK (tier IN ('high', 'review', 'uncertain')),
        position_mm double precision[] CHECK (cardinality(position_mm) = 3),
        diameter_mm double precision,
        sop_instance_uid text NOT NULL DEFAULT '',
        frame integer,
        image_point double precision[] CHECK (cardinality(image_point) = 2),
        measurements jsonb NOT NULL DEFAULT '[]',
        site jsonb,
        UNIQUE (job_id, ordinal)
    )
    """,
    "COMMENT ON COLUMN findings.position_mm IS 'DICOM patient coordinates, LPS, millimetres'",
    """
    CREATE TABLE reports (
        id bigserial PRIMARY KEY,
        job_id bigint NOT NULL REFERENCES jobs,
        kind text NOT NULL,
        profile text NOT NULL,
        sop_class_uid text NOT NULL,
        sop_instance_uid text NOT NULL UNIQUE,
        series_instance_uid text NOT NULL,
        sha256 text NOT NULL,
        size_bytes bigint NOT NULL,
        problems text[] NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT node_now()
    )
    """,
    "COMMENT ON TABLE reports IS 'Result objects; problems: why our own validation holds one back'",
    "CREATE INDEX reports_of_job ON reports (job_id, id)",
    "CREATE INDEX reports_sha256 ON reports (sha256)",
    """
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
        UNIQUE (report_id, destination),
        CHECK ((state = 'sending') = (token IS NOT NULL)),
        CHECK ((token IS NULL) = (lease_until IS NULL))
    )
    """,
    "CREATE INDEX deliveries_pending ON deliveries (priority DESC, next_attempt_at, id) WHERE state = 'pending'",
    "CREATE INDEX deliveries_leased ON deliveries (lease_until) WHERE state = 'sending'",
    "CREATE INDEX deliveries_of_job ON deliveries (job_id, id)",
    """
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
    )
    """,
    "CREATE INDEX attempts_of_delivery ON delivery_attempts (delivery_id, id)",
)
