-- Verdicts of clinicians on results, the release of held results, and the assessments (SR) that report verdicts.

CREATE TABLE verdicts (
    id bigserial PRIMARY KEY,
    job_id bigint NOT NULL REFERENCES jobs,
    finding_id bigint REFERENCES findings,
    verdict text NOT NULL CHECK (verdict IN ('accepted', 'corrected', 'rejected', 'missed', 'retracted')),
    reason text NOT NULL DEFAULT '',
    label text NOT NULL DEFAULT '',
    code_value text NOT NULL DEFAULT '',
    code_scheme text NOT NULL DEFAULT '',
    code_meaning text NOT NULL DEFAULT '',
    position_mm double precision[] CHECK (cardinality(position_mm) = 3),
    diameter_mm double precision CHECK (diameter_mm > 0),
    sop_instance_uid text NOT NULL DEFAULT '',
    frame integer CHECK (frame >= 1),
    image_point double precision[] CHECK (cardinality(image_point) = 2),
    supersedes bigint UNIQUE REFERENCES verdicts,
    user_name text NOT NULL,
    seen_revision integer NOT NULL,
    seen_at timestamptz NOT NULL,
    at timestamptz NOT NULL DEFAULT node_now(),
    CHECK ((verdict = 'rejected') = (reason <> '')),
    CHECK (verdict NOT IN ('corrected', 'rejected') OR finding_id IS NOT NULL),
    CHECK (verdict NOT IN ('missed', 'retracted') OR finding_id IS NULL),
    CHECK (verdict <> 'missed' OR (label <> '' AND sop_instance_uid <> '' AND image_point IS NOT NULL)),
    CHECK (verdict <> 'retracted' OR supersedes IS NOT NULL)
);

CREATE INDEX verdicts_of_job ON verdicts (job_id, id);
CREATE INDEX verdicts_of_finding ON verdicts (finding_id, id) WHERE finding_id IS NOT NULL;
CREATE INDEX verdicts_at ON verdicts (at);

COMMENT ON TABLE verdicts IS 'What a clinician has decided on a result; rows are added and never changed: a later verdict supersedes an earlier one';
COMMENT ON COLUMN verdicts.id IS 'Number of the verdict';
COMMENT ON COLUMN verdicts.job_id IS 'The job whose result was judged';
COMMENT ON COLUMN verdicts.finding_id IS 'The finding that was judged; NULL for a missed finding, and for a verdict on a result without findings';
COMMENT ON COLUMN verdicts.verdict IS 'accepted, corrected, rejected, missed (a finding that the model lacks) or retracted (an earlier missed finding is taken back)';
COMMENT ON COLUMN verdicts.reason IS 'Why it was rejected, a word of core.policy.verdicts; empty for other verdicts';
COMMENT ON COLUMN verdicts.label IS 'Label of the class that a correction or a missed finding names; empty where the class is not changed';
COMMENT ON COLUMN verdicts.code_value IS 'Code Value (0008,0100) of that class';
COMMENT ON COLUMN verdicts.code_scheme IS 'Coding Scheme Designator (0008,0102)';
COMMENT ON COLUMN verdicts.code_meaning IS 'Code Meaning (0008,0104)';
COMMENT ON COLUMN verdicts.position_mm IS 'Corrected or new position x, y, z in the patient coordinate system (LPS), in millimetres';
COMMENT ON COLUMN verdicts.diameter_mm IS 'Corrected or new diameter in millimetres';
COMMENT ON COLUMN verdicts.sop_instance_uid IS 'SOP Instance UID of the image on which the position was marked; empty where none was';
COMMENT ON COLUMN verdicts.frame IS 'Frame of that image, counted from 1';
COMMENT ON COLUMN verdicts.image_point IS 'Column and row in that image, in pixels; the centre of the first pixel is at 0.5, 0.5';
COMMENT ON COLUMN verdicts.supersedes IS 'The earlier verdict that this one replaces';
COMMENT ON COLUMN verdicts.user_name IS 'Who gave the verdict';
COMMENT ON COLUMN verdicts.seen_revision IS 'Revision of the unit whose result the reader had on the screen';
COMMENT ON COLUMN verdicts.seen_at IS 'When the page that the reader saw was made';
COMMENT ON COLUMN verdicts.at IS 'When the verdict was given';

CREATE TABLE result_releases (
    id bigserial PRIMARY KEY,
    job_id bigint NOT NULL REFERENCES jobs,
    actor text NOT NULL,
    cause text NOT NULL CHECK (cause IN ('verdicts', 'clinician', 'command')),
    destinations text[] NOT NULL,
    deliveries integer NOT NULL,
    reason text NOT NULL DEFAULT '',
    at timestamptz NOT NULL DEFAULT node_now()
);

CREATE INDEX result_releases_of_job ON result_releases (job_id, id);

COMMENT ON TABLE result_releases IS 'Results that waited for a verdict (release = "after_verdict") and were released to destinations';
COMMENT ON COLUMN result_releases.id IS 'Number of the release';
COMMENT ON COLUMN result_releases.job_id IS 'The job';
COMMENT ON COLUMN result_releases.actor IS 'Who released it';
COMMENT ON COLUMN result_releases.cause IS 'verdicts (every finding had been judged), clinician (released in the console) or command (by dicom-node jobs release)';
COMMENT ON COLUMN result_releases.destinations IS 'Destinations to which it was released';
COMMENT ON COLUMN result_releases.deliveries IS 'Number of deliveries that were held until then';
COMMENT ON COLUMN result_releases.reason IS 'Reason that the command line was given; else empty';
COMMENT ON COLUMN result_releases.at IS 'When';

CREATE TABLE assessments (
    id bigserial PRIMARY KEY,
    job_id bigint NOT NULL REFERENCES jobs,
    number integer NOT NULL,
    last_verdict_id bigint NOT NULL REFERENCES verdicts,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'encoding', 'done', 'failed', 'superseded')),
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT node_now(),
    token uuid,
    lease_until timestamptz,
    error text NOT NULL DEFAULT '',
    created_at timestamptz NOT NULL DEFAULT node_now(),
    finished_at timestamptz,
    UNIQUE (job_id, number),
    CHECK ((state = 'encoding') = (token IS NOT NULL)),
    CHECK ((token IS NULL) = (lease_until IS NULL))
);

CREATE INDEX assessments_open ON assessments (next_attempt_at, id) WHERE state IN ('queued', 'encoding');

COMMENT ON TABLE assessments IS 'Assessment reports (SR) to be made of the verdicts on a result, written in the transaction of the verdict and encoded by a worker';
COMMENT ON COLUMN assessments.id IS 'Number of the row';
COMMENT ON COLUMN assessments.job_id IS 'The job whose result was judged';
COMMENT ON COLUMN assessments.number IS 'Counts the assessments of the job from 1; a later one replaces the earlier one';
COMMENT ON COLUMN assessments.last_verdict_id IS 'The last verdict that the report covers';
COMMENT ON COLUMN assessments.state IS 'queued, encoding, done, failed (permanent error) or superseded (a later one was asked for before it was made)';
COMMENT ON COLUMN assessments.attempts IS 'Attempts to encode it so far';
COMMENT ON COLUMN assessments.next_attempt_at IS 'It is not encoded before this time';
COMMENT ON COLUMN assessments.token IS 'Fencing token of the lease';
COMMENT ON COLUMN assessments.lease_until IS 'When the lease expires, after which another worker takes it';
COMMENT ON COLUMN assessments.error IS 'Why the last attempt failed';
COMMENT ON COLUMN assessments.created_at IS 'When it was asked for';
COMMENT ON COLUMN assessments.finished_at IS 'When its objects and deliveries were committed, or it failed permanently';

ALTER TABLE jobs
    ADD COLUMN scanner text NOT NULL DEFAULT '',
    ADD COLUMN awaiting_verdict text[] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN jobs.scanner IS 'Manufacturer and model name of the device that made the images; empty where the header has neither, and for jobs of older versions';
COMMENT ON COLUMN jobs.awaiting_verdict IS 'Destinations that receive the result only after a verdict (release = "after_verdict" on every route that names them)';

ALTER TABLE deliveries ADD COLUMN awaiting_verdict boolean NOT NULL DEFAULT false;

COMMENT ON COLUMN deliveries.awaiting_verdict IS 'Held until a clinician has judged or released the result';

CREATE INDEX deliveries_awaiting_verdict ON deliveries (job_id) WHERE awaiting_verdict;

CREATE FUNCTION verdicts_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

COMMENT ON FUNCTION verdicts_guard() IS 'Refuses every change of a verdict or a release';

CREATE TRIGGER verdicts_rows BEFORE UPDATE OR DELETE ON verdicts FOR EACH ROW EXECUTE FUNCTION verdicts_guard();
CREATE TRIGGER verdicts_truncate BEFORE TRUNCATE ON verdicts FOR EACH STATEMENT EXECUTE FUNCTION verdicts_guard();
CREATE TRIGGER result_releases_rows BEFORE UPDATE OR DELETE ON result_releases FOR EACH ROW EXECUTE FUNCTION verdicts_guard();
CREATE TRIGGER result_releases_truncate BEFORE TRUNCATE ON result_releases FOR EACH STATEMENT EXECUTE FUNCTION verdicts_guard();
