-- The comparison of a result with earlier results of the same patient by the same model (docs/decisions/0053).

ALTER TABLE jobs
    ADD COLUMN prior_rule jsonb,
    ADD COLUMN priors_chosen_at timestamptz;

COMMENT ON COLUMN jobs.prior_rule IS 'With which earlier results the route has the result compared: count, within_days, same, unique_ids; what the choice adds: left_out (how many, by reason), superseded (places of such results); NULL: with none';
COMMENT ON COLUMN jobs.priors_chosen_at IS 'When these were chosen, in the transaction of the first attempt; every later attempt uses the same';

CREATE TABLE job_priors (
    job_id bigint NOT NULL REFERENCES jobs,
    place integer NOT NULL,
    prior_job_id bigint NOT NULL REFERENCES jobs,
    model_version text NOT NULL,
    pipeline_digest text NOT NULL,
    study_date text NOT NULL,
    study_time text NOT NULL,
    days integer NOT NULL,
    rejected integer[] NOT NULL DEFAULT '{}',
    reports jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (job_id, place),
    UNIQUE (job_id, prior_job_id)
);

-- Deleting a job looks for rows that refer to it.
CREATE INDEX job_priors_of_prior ON job_priors (prior_job_id);

COMMENT ON TABLE job_priors IS 'The earlier results with which the result of a job is compared, as they were when they were chosen; never changed afterwards';
COMMENT ON COLUMN job_priors.job_id IS 'The job';
COMMENT ON COLUMN job_priors.place IS 'Counts them from 1, the newest first; findings are matched to those of the first';
COMMENT ON COLUMN job_priors.prior_job_id IS 'The job of the earlier result';
COMMENT ON COLUMN job_priors.model_version IS 'Version of the model that made the earlier result';
COMMENT ON COLUMN job_priors.pipeline_digest IS 'Pipeline digest of the earlier result';
COMMENT ON COLUMN job_priors.study_date IS 'Study Date (0008,0020) of the earlier study';
COMMENT ON COLUMN job_priors.study_time IS 'Study Time (0008,0030) of the earlier study; empty where it has none';
COMMENT ON COLUMN job_priors.days IS 'Days between the studies';
COMMENT ON COLUMN job_priors.rejected IS 'Numbers of the findings of the earlier result that a clinician had rejected';
COMMENT ON COLUMN job_priors.reports IS 'By destination, the report on the earlier result that it had stored: SOP Class, SOP Instance and Series Instance UID';

ALTER TABLE findings
    ADD COLUMN organ_place jsonb,
    ADD COLUMN comparison jsonb;

COMMENT ON COLUMN findings.organ_place IS 'Place within the part of the organ, such as one lung: shares along x, y, z (LPS) and extents in millimetres; NULL where it is not known';
COMMENT ON COLUMN findings.comparison IS 'What the comparison with an earlier result says: the job, version and study date of that result, the matched finding and the differences, or why none was matched; NULL where nothing was compared';
