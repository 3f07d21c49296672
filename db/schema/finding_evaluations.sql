-- Qualitative evaluations of findings: density, category, place within the site.

ALTER TABLE findings ADD COLUMN evaluations jsonb NOT NULL DEFAULT '[]';

COMMENT ON COLUMN findings.evaluations IS 'Coded qualitative evaluations, each with name and value; the place within the site first';
