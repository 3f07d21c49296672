-- Registered pipelines, and the statistics by which drift is watched.

CREATE TABLE models (
    id bigserial PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    digest text NOT NULL UNIQUE,
    title text NOT NULL,
    manufacturer text NOT NULL,
    status text NOT NULL,
    not_for text NOT NULL,
    state text NOT NULL CHECK (state IN ('active', 'standby', 'shadow', 'retired')),
    origin text NOT NULL DEFAULT 'package' CHECK (origin IN ('package', 'installed')),
    registered_at timestamptz NOT NULL DEFAULT node_now(),
    activated_at timestamptz
);

-- A name has at most one active pipeline.
CREATE UNIQUE INDEX models_active ON models (name) WHERE state = 'active';

COMMENT ON TABLE models IS 'Every pipeline that a worker of this installation has served, by digest';
COMMENT ON COLUMN models.id IS 'Number of the pipeline';
COMMENT ON COLUMN models.name IS 'Name of the model, as routes use it';
COMMENT ON COLUMN models.version IS 'Version in the model card';
COMMENT ON COLUMN models.digest IS 'Pipeline digest: hash of weights, card and pre- and post-processing version';
COMMENT ON COLUMN models.title IS 'Title in the model card';
COMMENT ON COLUMN models.manufacturer IS 'Manufacturer in the model card';
COMMENT ON COLUMN models.status IS 'Regulatory status in the model card, for example research';
COMMENT ON COLUMN models.not_for IS 'What the model must not be used for, from the model card';
COMMENT ON COLUMN models.state IS 'active: analyses new jobs. standby: was or can be active. shadow: analyses for comparison, reports nothing. retired: results are refused';
COMMENT ON COLUMN models.origin IS 'package: shipped with the node. installed: imported at this site';
COMMENT ON COLUMN models.registered_at IS 'When a worker served it first';
COMMENT ON COLUMN models.activated_at IS 'When it became active the last time; NULL if it never was';

CREATE TABLE model_statistics (
    week date NOT NULL,
    pipeline_digest text NOT NULL,
    scanner text NOT NULL,
    quantity text NOT NULL,
    model text NOT NULL,
    model_version text NOT NULL,
    bins bigint[] NOT NULL,
    PRIMARY KEY (week, pipeline_digest, scanner, quantity)
);

COMMENT ON TABLE model_statistics IS 'Histograms of inputs and scores by pipeline, scanner and week, to watch for drift (core/policy/drift.py); no patient data';
COMMENT ON COLUMN model_statistics.week IS 'Monday of the week (UTC)';
COMMENT ON COLUMN model_statistics.pipeline_digest IS 'The pipeline';
COMMENT ON COLUMN model_statistics.scanner IS 'Manufacturer and model of the device that made the images';
COMMENT ON COLUMN model_statistics.quantity IS 'What is counted';
COMMENT ON COLUMN model_statistics.model IS 'Name of the model';
COMMENT ON COLUMN model_statistics.model_version IS 'Version of the model';
COMMENT ON COLUMN model_statistics.bins IS 'Number of units in each bin';
