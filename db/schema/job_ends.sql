-- When a job got a state in which an export lists it without a new result: failed, quarantined, cancelled or superseded.
-- An export of what has changed since the one before finds such jobs by this time; the time at which they were queued may be earlier.

ALTER TABLE jobs ADD COLUMN ended_at timestamptz;

COMMENT ON COLUMN jobs.ended_at IS 'When it failed, was cancelled or was superseded; NULL for other jobs, and for those that ended before this column was there';

CREATE INDEX jobs_changed ON jobs ((coalesce(ended_at, reported_at, queued_at)));

CREATE FUNCTION mark_job_end() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.ended_at := CASE WHEN NEW.state IN ('failed', 'quarantined', 'cancelled', 'superseded') THEN node_now() END;
    RETURN NEW;
END $$;

COMMENT ON FUNCTION mark_job_end() IS 'Sets jobs.ended_at';

CREATE TRIGGER mark_job_end BEFORE UPDATE OF state ON jobs FOR EACH ROW
    WHEN (NEW.state IS DISTINCT FROM OLD.state OR NEW.outcome IS DISTINCT FROM OLD.outcome) EXECUTE FUNCTION mark_job_end();
