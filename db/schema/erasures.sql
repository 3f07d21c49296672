-- Erasures of all data of one person (db/patients): what remains of them is this row, without an identity, and the audit trail.

CREATE TABLE erasures (
    id bigserial PRIMARY KEY,
    patient text NOT NULL,
    issuer text NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL,
    studies bigint[] NOT NULL,
    sent jsonb NOT NULL DEFAULT '[]',
    counts jsonb NOT NULL DEFAULT '{}',
    begun_at timestamptz NOT NULL DEFAULT node_now(),
    finished_at timestamptz,
    CHECK (finished_at IS NULL OR sent = '[]')
);

CREATE UNIQUE INDEX erasures_open ON erasures (patient) WHERE finished_at IS NULL;

COMMENT ON TABLE erasures IS 'Erasures of all data of one person; one that was interrupted is open, and is continued by the same command';
COMMENT ON COLUMN erasures.id IS 'Number of the erasure';
COMMENT ON COLUMN erasures.patient IS 'Keyed reference of the person, as in the audit trail: HMAC-SHA256 of issuer and Patient ID';
COMMENT ON COLUMN erasures.issuer IS 'Issuer of Patient ID (0010,0021): an organisation, not the person; with it the reference is found again';
COMMENT ON COLUMN erasures.actor IS 'Who began it';
COMMENT ON COLUMN erasures.reason IS 'Why, in the words of the person who began it';
COMMENT ON COLUMN erasures.studies IS 'Numbers of the studies that are erased: their rows are deleted';
COMMENT ON COLUMN erasures.sent IS 'Result objects that destinations hold, until the erasure has ended: the operator has to delete them there';
COMMENT ON COLUMN erasures.counts IS 'How many rows and files were deleted so far, by kind';
COMMENT ON COLUMN erasures.begun_at IS 'When it was begun';
COMMENT ON COLUMN erasures.finished_at IS 'When the last row and the last file were deleted; NULL while it is open';

-- Deleting a row looks for rows that refer to it; without these indexes it would read the whole tables.
CREATE INDEX job_inputs_of_instance ON job_inputs (instance_id);
CREATE INDEX jobs_superseded_by ON jobs (superseded_by) WHERE superseded_by IS NOT NULL;
CREATE INDEX commitment_items_of_delivery ON commitment_request_items (delivery_id);
CREATE INDEX assessments_of_verdict ON assessments (last_verdict_id);

-- As before (verdicts.sql), but for the verdicts and releases of a study that is being erased.
CREATE OR REPLACE FUNCTION verdicts_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF EXISTS (SELECT FROM jobs j JOIN units u ON u.id = j.unit_id JOIN series se ON se.id = u.series_id
                   JOIN erasures e ON e.finished_at IS NULL AND se.study_id = ANY(e.studies) WHERE j.id = OLD.job_id) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

COMMENT ON FUNCTION verdicts_guard() IS 'Refuses every change of a verdict or a release but its deletion with a study that is being erased';
