-- Findings and the DICOM objects that report them.

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
);

COMMENT ON TABLE findings IS 'What a model found, one row per finding; findings of shadows are here, but not in v_findings';
COMMENT ON COLUMN findings.id IS 'Number of the finding';
COMMENT ON COLUMN findings.job_id IS 'The job';
COMMENT ON COLUMN findings.ordinal IS 'Counts the findings of the job from 1';
COMMENT ON COLUMN findings.label IS 'Label of the class or lesion';
COMMENT ON COLUMN findings.code_value IS 'Code Value (0008,0100) of the finding';
COMMENT ON COLUMN findings.code_scheme IS 'Coding Scheme Designator (0008,0102)';
COMMENT ON COLUMN findings.code_meaning IS 'Code Meaning (0008,0104)';
COMMENT ON COLUMN findings.probability IS 'Calibrated probability, 0 to 1';
COMMENT ON COLUMN findings.score IS 'Score of a detection, where it is not a probability';
COMMENT ON COLUMN findings.tier IS 'Confidence tier: high, review or uncertain';
COMMENT ON COLUMN findings.position_mm IS 'Position x, y, z in the patient coordinate system (LPS), in millimetres';
COMMENT ON COLUMN findings.diameter_mm IS 'Diameter in millimetres';
COMMENT ON COLUMN findings.sop_instance_uid IS 'SOP Instance UID of the image that shows it best; empty where there is none';
COMMENT ON COLUMN findings.frame IS 'Frame of that image, counted from 1';
COMMENT ON COLUMN findings.image_point IS 'Column and row in that image, in pixels';
COMMENT ON COLUMN findings.measurements IS 'Coded measurements with value and unit';
COMMENT ON COLUMN findings.site IS 'Coded anatomical site';

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
    created_at timestamptz NOT NULL DEFAULT node_now(),
    removed_at timestamptz
);

CREATE INDEX reports_of_job ON reports (job_id, id);
CREATE INDEX reports_sha256 ON reports (sha256);

COMMENT ON TABLE reports IS 'Result objects: the report (SR) and every other DICOM object made from a result';
COMMENT ON COLUMN reports.id IS 'Number of the object';
COMMENT ON COLUMN reports.job_id IS 'The job';
COMMENT ON COLUMN reports.kind IS 'sr, seg, heatmap, parametric_map, key_images, pdf or rejection';
COMMENT ON COLUMN reports.profile IS 'Result profile that it was made for: the kinds that a report names, joined by +, and @destination where it is for one alone';
COMMENT ON COLUMN reports.sop_class_uid IS 'SOP Class UID';
COMMENT ON COLUMN reports.sop_instance_uid IS 'SOP Instance UID; derived, so that a repeated attempt makes the same';
COMMENT ON COLUMN reports.series_instance_uid IS 'Series Instance UID';
COMMENT ON COLUMN reports.sha256 IS 'SHA-256 of the file, which is the name of its blob';
COMMENT ON COLUMN reports.size_bytes IS 'Size of the file in bytes';
COMMENT ON COLUMN reports.problems IS 'What the node''s own validation found wrong; such an object is held, not sent';
COMMENT ON COLUMN reports.created_at IS 'When it was committed';
COMMENT ON COLUMN reports.removed_at IS 'When retention removed the file, after every destination had it';
