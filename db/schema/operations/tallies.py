"""Counts that cost the same at a thousand rows and at a hundred million.

A change is a row that is only inserted, so that counting is no lock in anybody's path; a role folds them together behind it.
"""

BUCKETS_S = (1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400)

_DWELL = f"""
    CREATE FUNCTION tally_dwell(until text, dwell interval) RETURNS void LANGUAGE sql AS $$
        INSERT INTO tally_changes (name, labels, amount)
        SELECT 'dwell', ARRAY[until, coalesce((SELECT min(bound)::text FROM unnest(ARRAY{list(BUCKETS_S)}::float8[]) AS bounds (bound)
                                               WHERE extract(epoch FROM dwell) <= bound), '+Inf')], 1
        UNION ALL SELECT 'dwell_sum', ARRAY[until], extract(epoch FROM dwell)
    $$
"""
_JOBS = """
    CREATE FUNCTION tally_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO tally_changes (name, labels, amount) VALUES ('jobs', ARRAY[NEW.state], 1);
            IF NEW.outcome IS NOT NULL AND NOT NEW.shadow THEN
                INSERT INTO tally_changes (name, labels, amount) VALUES ('outcomes', ARRAY[NEW.model, NEW.outcome], 1);
            END IF;
            RETURN NULL;
        END IF;
        IF OLD.state <> NEW.state THEN
            INSERT INTO tally_changes (name, labels, amount) VALUES ('jobs', ARRAY[OLD.state], -1), ('jobs', ARRAY[NEW.state], 1);
        END IF;
        IF NEW.shadow THEN
            RETURN NULL;
        END IF;
        IF NEW.outcome IS NOT NULL AND OLD.outcome IS DISTINCT FROM NEW.outcome THEN
            INSERT INTO tally_changes (name, labels, amount) VALUES ('outcomes', ARRAY[NEW.model, NEW.outcome], 1);
        END IF;
        IF NEW.last_received_at IS NOT NULL AND OLD.reported_at IS NULL AND NEW.reported_at IS NOT NULL THEN
            PERFORM tally_dwell('reported', NEW.reported_at - NEW.last_received_at);
        END IF;
        IF NEW.last_received_at IS NOT NULL AND OLD.delivered_at IS NULL AND NEW.delivered_at IS NOT NULL THEN
            PERFORM tally_dwell('delivered', NEW.delivered_at - NEW.last_received_at);
        END IF;
        RETURN NULL;
    END $$
"""
_DELIVERIES = """
    CREATE FUNCTION tally_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' THEN
            IF OLD.state = NEW.state THEN
                RETURN NULL;
            END IF;
            INSERT INTO tally_changes (name, labels, amount) VALUES ('deliveries', ARRAY[NEW.destination, OLD.state], -1);
        END IF;
        INSERT INTO tally_changes (name, labels, amount) VALUES ('deliveries', ARRAY[NEW.destination, NEW.state], 1);
        RETURN NULL;
    END $$
"""
_SENDINGS = """
    CREATE FUNCTION tally_sendings() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO tally_changes (name, labels, amount)
        SELECT 'sendings', ARRAY[d.destination, NEW.result], 1 FROM deliveries d WHERE d.id = NEW.delivery_id;
        RETURN NULL;
    END $$
"""
_ATTEMPTS = """
    CREATE FUNCTION tally_attempts() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO tally_changes (name, labels, amount)
        SELECT 'attempts', ARRAY[j.model, NEW.result], 1 FROM jobs j WHERE j.id = NEW.job_id;
        RETURN NULL;
    END $$
"""
# Of complete units alone: an open one gets another instance a hundred times a second, and there are few of them.
_UNITS = """
    CREATE FUNCTION tally_units() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO tally_changes (name, labels, amount)
        VALUES ('instances', '{}', CASE WHEN NEW.state = 'complete' THEN NEW.held ELSE -OLD.held END);
        RETURN NULL;
    END $$
"""
_QUARANTINE = """
    CREATE FUNCTION tally_quarantine() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            INSERT INTO tally_changes (name, labels, amount)
            VALUES ('quarantine_items', '{}', 1), ('quarantine_bytes', '{}', NEW.size_bytes);
        ELSE
            INSERT INTO tally_changes (name, labels, amount)
            VALUES ('quarantine_items', '{}', -1), ('quarantine_bytes', '{}', -OLD.size_bytes);
        END IF;
        RETURN NULL;
    END $$
"""

STATEMENTS = (
    """
    CREATE TABLE tallies (
        name text NOT NULL,
        labels text[] NOT NULL,
        amount double precision NOT NULL,
        PRIMARY KEY (name, labels)
    )
    """,
    "COMMENT ON TABLE tallies IS 'Counts, kept by triggers; what is not folded in yet is in tally_changes'",
    """
    CREATE TABLE tally_changes (
        id bigserial PRIMARY KEY,
        name text NOT NULL,
        labels text[] NOT NULL,
        amount double precision NOT NULL
    )
    """,
    # What is there already; dwell times begin with this revision.
    "INSERT INTO tallies SELECT 'jobs', ARRAY[state], count(*) FROM jobs GROUP BY state",
    """
    INSERT INTO tallies SELECT 'outcomes', ARRAY[model, outcome], count(*) FROM jobs
    WHERE outcome IS NOT NULL AND NOT shadow GROUP BY model, outcome
    """,
    "INSERT INTO tallies SELECT 'deliveries', ARRAY[destination, state], count(*) FROM deliveries GROUP BY destination, state",
    "INSERT INTO tallies SELECT 'instances', '{}', coalesce(sum(held), 0) FROM units WHERE state = 'complete'",
    "INSERT INTO tallies SELECT 'quarantine_items', '{}', count(*) FROM quarantine",
    "INSERT INTO tallies SELECT 'quarantine_bytes', '{}', coalesce(sum(size_bytes), 0) FROM quarantine",
    _DWELL, _JOBS, _DELIVERIES, _SENDINGS, _ATTEMPTS, _UNITS, _QUARANTINE,
    "CREATE TRIGGER tally_jobs AFTER INSERT OR UPDATE OF state, outcome ON jobs FOR EACH ROW EXECUTE FUNCTION tally_jobs()",
    "CREATE TRIGGER tally_deliveries AFTER INSERT OR UPDATE OF state ON deliveries FOR EACH ROW EXECUTE FUNCTION tally_deliveries()",
    """
    CREATE TRIGGER tally_sendings AFTER UPDATE OF result ON delivery_attempts FOR EACH ROW
    WHEN (OLD.result IS DISTINCT FROM NEW.result) EXECUTE FUNCTION tally_sendings()
    """,
    """
    CREATE TRIGGER tally_attempts AFTER UPDATE OF result ON attempts FOR EACH ROW
    WHEN (OLD.result IS DISTINCT FROM NEW.result) EXECUTE FUNCTION tally_attempts()
    """,
    "CREATE TRIGGER tally_new_units AFTER INSERT ON units FOR EACH ROW WHEN (NEW.state = 'complete') EXECUTE FUNCTION tally_units()",
    """
    CREATE TRIGGER tally_units AFTER UPDATE OF state ON units FOR EACH ROW
    WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION tally_units()
    """,
    "CREATE TRIGGER tally_quarantine AFTER INSERT OR DELETE ON quarantine FOR EACH ROW EXECUTE FUNCTION tally_quarantine()",
)  # fmt: skip
