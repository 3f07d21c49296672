"""What came in: studies, series, units of analysis, instances, associations, quarantine."""

STATEMENTS = (
    """
    CREATE TABLE studies (
        id bigserial PRIMARY KEY,
        study_instance_uid text NOT NULL UNIQUE,
        patient_id text NOT NULL,
        issuer_of_patient_id text NOT NULL,
        patient_name text NOT NULL,
        patient_birth_date text NOT NULL,
        patient_sex text NOT NULL,
        accession_number text NOT NULL,
        study_id text NOT NULL,
        study_date text NOT NULL,
        study_time text NOT NULL,
        study_description text NOT NULL,
        first_received_at timestamptz NOT NULL DEFAULT node_now()
    )
    """,
    "COMMENT ON TABLE studies IS 'One row per study, as its first instance said; every instance keeps its own header'",
    """
    CREATE TABLE series (
        id bigserial PRIMARY KEY,
        study_id bigint NOT NULL REFERENCES studies,
        series_instance_uid text NOT NULL,
        modality text NOT NULL,
        series_number integer,
        series_description text NOT NULL,
        body_part_examined text NOT NULL,
        UNIQUE (series_instance_uid, study_id)
    )
    """,
    "CREATE INDEX series_of_study ON series (study_id)",
    """
    CREATE TABLE units (
        id bigserial PRIMARY KEY,
        series_id bigint NOT NULL REFERENCES series,
        kind text NOT NULL CHECK (kind IN ('series', 'image')),
        sop_instance_uid text NOT NULL DEFAULT '',
        state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'complete')),
        revision integer NOT NULL DEFAULT 1,
        source text NOT NULL,
        held integer NOT NULL DEFAULT 0,
        first_received_at timestamptz NOT NULL DEFAULT node_now(),
        opened_at timestamptz NOT NULL DEFAULT node_now(),
        last_received_at timestamptz NOT NULL DEFAULT node_now(),
        next_look_at timestamptz NOT NULL DEFAULT node_now(),
        stirred boolean NOT NULL DEFAULT true,
        expected integer,
        expected_at timestamptz,
        expected_before integer,
        claimed_by text[] NOT NULL DEFAULT '{}',
        chosen boolean,
        evidence jsonb,
        reason text NOT NULL DEFAULT '',
        dropped text[] NOT NULL DEFAULT '{}',
        outcome text,
        completed_at timestamptz,
        UNIQUE (series_id, kind, sop_instance_uid)
    )
    """,
    "COMMENT ON TABLE units IS 'Units of analysis: a series (CT) or one image (photographs). outcome and reason: why there is no job'",
    "COMMENT ON COLUMN units.stirred IS 'something happened since the conductor last looked: its postponement does not count'",
    "CREATE INDEX units_due ON units (next_look_at) WHERE state = 'open'",
    """
    CREATE TABLE instances (
        id bigserial PRIMARY KEY,
        unit_id bigint NOT NULL REFERENCES units,
        sop_instance_uid text NOT NULL,
        sop_class_uid text NOT NULL,
        transfer_syntax_uid text NOT NULL,
        sha256 text NOT NULL,
        size_bytes bigint NOT NULL,
        state text NOT NULL CHECK (state IN ('current', 'undecided', 'equivalent', 'superseded')),
        revision integer NOT NULL,
        header jsonb NOT NULL,
        notes text[] NOT NULL DEFAULT '{}',
        source text NOT NULL,
        association_id uuid NOT NULL,
        received_at timestamptz NOT NULL DEFAULT node_now(),
        duplicates integer NOT NULL DEFAULT 0,
        UNIQUE (sop_instance_uid, sha256)
    )
    """,
    "COMMENT ON TABLE instances IS 'One row per content of a SOP Instance UID. equivalent: other bytes, equal attributes and pixels'",
    "CREATE UNIQUE INDEX instances_current ON instances (sop_instance_uid) WHERE state = 'current'",
    "CREATE INDEX instances_undecided ON instances (unit_id, id) WHERE state = 'undecided'",
    "CREATE INDEX instances_of_unit ON instances (unit_id, id)",
    "CREATE INDEX instances_sha256 ON instances (sha256)",
    """
    CREATE TABLE associations (
        id uuid PRIMARY KEY,
        calling_ae text NOT NULL,
        called_ae text NOT NULL,
        address text NOT NULL,
        listener text NOT NULL,
        opened_at timestamptz NOT NULL DEFAULT node_now(),
        lease_until timestamptz NOT NULL,
        closed_at timestamptz,
        how text CHECK (how IN ('released', 'aborted', 'lost')),
        CHECK ((closed_at IS NULL) = (how IS NULL))
    )
    """,
    "COMMENT ON TABLE associations IS 'Leased: a killed listener leaves no association open for ever'",
    "CREATE INDEX associations_open ON associations (lease_until) WHERE closed_at IS NULL",
    """
    CREATE TABLE association_units (
        association_id uuid NOT NULL,
        unit_id bigint NOT NULL REFERENCES units,
        calling_ae text NOT NULL,
        last_instance_at timestamptz NOT NULL,
        PRIMARY KEY (unit_id, association_id)
    )
    """,
    "CREATE INDEX units_of_association ON association_units (association_id)",
    """
    CREATE TABLE quarantine (
        id bigserial PRIMARY KEY,
        sha256 text NOT NULL UNIQUE,
        size_bytes bigint NOT NULL,
        reason text NOT NULL,
        status integer NOT NULL,
        sop_class_uid text NOT NULL,
        sop_instance_uid text NOT NULL,
        association_id uuid NOT NULL,
        source text NOT NULL,
        first_at timestamptz NOT NULL DEFAULT node_now(),
        last_at timestamptz NOT NULL DEFAULT node_now(),
        times integer NOT NULL DEFAULT 1
    )
    """,
    "COMMENT ON TABLE quarantine IS 'What was refused with a failure status, by content; bounded, the oldest go first'",
)
