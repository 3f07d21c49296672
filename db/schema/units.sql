-- Studies, series and units of analysis: what was received, and when a unit is complete.

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
);

COMMENT ON TABLE studies IS 'One row per study, with the values of the first instance received; every instance keeps its own header';
COMMENT ON COLUMN studies.id IS 'Number of the study';
COMMENT ON COLUMN studies.study_instance_uid IS 'Study Instance UID (0020,000D)';
COMMENT ON COLUMN studies.patient_id IS 'Patient ID (0010,0020)';
COMMENT ON COLUMN studies.issuer_of_patient_id IS 'Issuer of Patient ID (0010,0021)';
COMMENT ON COLUMN studies.patient_name IS 'Patient''s Name (0010,0010)';
COMMENT ON COLUMN studies.patient_birth_date IS 'Patient''s Birth Date (0010,0030), as text';
COMMENT ON COLUMN studies.patient_sex IS 'Patient''s Sex (0010,0040)';
COMMENT ON COLUMN studies.accession_number IS 'Accession Number (0008,0050)';
COMMENT ON COLUMN studies.study_id IS 'Study ID (0020,0010)';
COMMENT ON COLUMN studies.study_date IS 'Study Date (0008,0020), as text';
COMMENT ON COLUMN studies.study_time IS 'Study Time (0008,0030), as text';
COMMENT ON COLUMN studies.study_description IS 'Study Description (0008,1030)';
COMMENT ON COLUMN studies.first_received_at IS 'When the first instance of the study was received';

CREATE TABLE series (
    id bigserial PRIMARY KEY,
    study_id bigint NOT NULL REFERENCES studies,
    series_instance_uid text NOT NULL,
    modality text NOT NULL,
    series_number integer,
    series_description text NOT NULL,
    body_part_examined text NOT NULL,
    UNIQUE (series_instance_uid, study_id)
);

CREATE INDEX series_of_study ON series (study_id);

COMMENT ON TABLE series IS 'One row per series of a study, with the values of the first instance received';
COMMENT ON COLUMN series.id IS 'Number of the series';
COMMENT ON COLUMN series.study_id IS 'The study it belongs to';
COMMENT ON COLUMN series.series_instance_uid IS 'Series Instance UID (0020,000E); unique within a study, because some senders reuse it';
COMMENT ON COLUMN series.modality IS 'Modality (0008,0060)';
COMMENT ON COLUMN series.series_number IS 'Series Number (0020,0011)';
COMMENT ON COLUMN series.series_description IS 'Series Description (0008,103E)';
COMMENT ON COLUMN series.body_part_examined IS 'Body Part Examined (0018,0015)';

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
    next_check_at timestamptz NOT NULL DEFAULT node_now(),
    changed_since_check boolean NOT NULL DEFAULT true,
    expected integer,
    expected_at timestamptz,
    expected_before integer,
    requested integer,
    requested_at timestamptz,
    routes text[] NOT NULL DEFAULT '{}',
    selected boolean,
    evidence jsonb,
    reason text NOT NULL DEFAULT '',
    dropped text[] NOT NULL DEFAULT '{}',
    outcome text,
    completed_at timestamptz,
    UNIQUE (series_id, kind, sop_instance_uid)
);

-- Open units by the time of their next check.
CREATE INDEX units_due ON units (next_check_at) WHERE state = 'open';
-- Complete units by age, for retention.
CREATE INDEX units_completed ON units (completed_at, id) WHERE state = 'complete';
-- Units without a job since a moment, for an export of the last hour.
CREATE INDEX units_ended ON units (completed_at) WHERE state = 'complete' AND outcome IS NOT NULL;

COMMENT ON TABLE units IS 'Units of analysis: one series (CT) or one image (photographs). A late or changed instance begins a new revision';
COMMENT ON COLUMN units.id IS 'Number of the unit';
COMMENT ON COLUMN units.series_id IS 'The series it is, or the series of the image';
COMMENT ON COLUMN units.kind IS 'series or image';
COMMENT ON COLUMN units.sop_instance_uid IS 'SOP Instance UID of the image; empty for a series';
COMMENT ON COLUMN units.state IS 'open: more instances may come. complete: routed, or without a route';
COMMENT ON COLUMN units.revision IS 'Counts from 1; one more whenever an instance is added to, or changed in, a complete unit';
COMMENT ON COLUMN units.source IS 'Calling AE title of the first sender';
COMMENT ON COLUMN units.held IS 'Number of current instances';
COMMENT ON COLUMN units.first_received_at IS 'When the first instance was received';
COMMENT ON COLUMN units.opened_at IS 'When the first instance of this revision was received, or when it was routed again';
COMMENT ON COLUMN units.last_received_at IS 'When the last instance was received';
COMMENT ON COLUMN units.next_check_at IS 'When completion is checked next';
COMMENT ON COLUMN units.changed_since_check IS 'An event (an instance, the end of an association) happened since the last check, so that a later check set before it does not count';
COMMENT ON COLUMN units.expected IS 'Number of instances that the source reported (C-FIND or 0020,1209) at the last check';
COMMENT ON COLUMN units.expected_at IS 'When the source reported it';
COMMENT ON COLUMN units.expected_before IS 'Number that the source had reported at the check before';
COMMENT ON COLUMN units.requested IS 'Number of instances held when one storage commitment request listed all of them';
COMMENT ON COLUMN units.requested_at IS 'When that request came';
COMMENT ON COLUMN units.routes IS 'Names of the routes that took the unit';
COMMENT ON COLUMN units.selected IS 'per_study = "best": true for the series that was selected, false for one that was not; NULL where it does not apply';
COMMENT ON COLUMN units.evidence IS 'What the decision "complete" rests on';
COMMENT ON COLUMN units.reason IS 'Why a complete unit has no job';
COMMENT ON COLUMN units.dropped IS 'SOP Instance UIDs that are not analysed (localizers), or a note';
COMMENT ON COLUMN units.outcome IS 'not_analysed for a complete unit without a job; else NULL';
COMMENT ON COLUMN units.completed_at IS 'When the revision was found complete';
