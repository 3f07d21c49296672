-- Outlines and heat maps of results, for the console's viewer.

CREATE TABLE result_overlays (
    id bigserial PRIMARY KEY,
    job_id bigint NOT NULL UNIQUE REFERENCES jobs,
    sha256 text NOT NULL,
    size_bytes bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT node_now(),
    removed_at timestamptz
);

CREATE INDEX result_overlays_sha256 ON result_overlays (sha256);

COMMENT ON TABLE result_overlays IS 'Outlines and heat map of a result as one file, which the console''s viewer draws over the images; it is never sent';
COMMENT ON COLUMN result_overlays.id IS 'Number of the file';
COMMENT ON COLUMN result_overlays.job_id IS 'The job';
COMMENT ON COLUMN result_overlays.sha256 IS 'SHA-256 of the file, which is the name of its blob';
COMMENT ON COLUMN result_overlays.size_bytes IS 'Size of the file in bytes';
COMMENT ON COLUMN result_overlays.created_at IS 'When it was committed';
COMMENT ON COLUMN result_overlays.removed_at IS 'When retention removed the file, with the objects of the result';
