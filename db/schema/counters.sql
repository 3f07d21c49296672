-- Counts by name and labels, kept by triggers, so that reading one costs the same at any number of rows.
--
-- A change is a row of its own in counter_changes, inserted in the transaction of the act: counting locks nothing. db/counters.py adds
-- the changes to the sums in counters; a reader adds up both tables.

CREATE TABLE counters (
    name text NOT NULL,
    labels text[] NOT NULL,
    amount double precision NOT NULL,
    PRIMARY KEY (name, labels)
);

COMMENT ON TABLE counters IS 'Counts by name and labels; changes that are not added yet are in counter_changes';
COMMENT ON COLUMN counters.name IS 'What is counted';
COMMENT ON COLUMN counters.labels IS 'By what, for example the state';
COMMENT ON COLUMN counters.amount IS 'The count';

CREATE TABLE counter_changes (
    id bigserial PRIMARY KEY,
    name text NOT NULL,
    labels text[] NOT NULL,
    amount double precision NOT NULL
);

COMMENT ON TABLE counter_changes IS 'Changes of counts, written by triggers, until they are added to counters';
COMMENT ON COLUMN counter_changes.id IS 'Number of the change';
COMMENT ON COLUMN counter_changes.name IS 'What is counted';
COMMENT ON COLUMN counter_changes.labels IS 'By what';
COMMENT ON COLUMN counter_changes.amount IS 'How much is added; negative where something ended';

-- Counts a dwell time in its bucket and adds it to the sum. db.counters.DWELL_BOUNDS lists the same upper bounds, in seconds.
CREATE FUNCTION count_dwell(until text, dwell interval) RETURNS void LANGUAGE sql AS $$
    INSERT INTO counter_changes (name, labels, amount)
    SELECT 'dwell',
           ARRAY[until, coalesce(
               (SELECT min(bound)::text
                FROM unnest(ARRAY[1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400]::float8[]) AS bounds (bound)
                WHERE extract(epoch FROM dwell) <= bound), '+Inf')],
           1
    UNION ALL SELECT 'dwell_sum', ARRAY[until], extract(epoch FROM dwell)
$$;

-- Jobs by state, results by model and outcome, and the time from the last instance to report and delivery. Shadows count as jobs only.
CREATE FUNCTION count_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO counter_changes (name, labels, amount) VALUES ('jobs', ARRAY[NEW.state], 1);
        IF NEW.outcome IS NOT NULL AND NOT NEW.shadow THEN
            INSERT INTO counter_changes (name, labels, amount) VALUES ('outcomes', ARRAY[NEW.model, NEW.outcome], 1);
        END IF;
        RETURN NULL;
    END IF;
    IF OLD.state <> NEW.state THEN
        INSERT INTO counter_changes (name, labels, amount) VALUES ('jobs', ARRAY[OLD.state], -1), ('jobs', ARRAY[NEW.state], 1);
    END IF;
    IF NEW.shadow THEN
        RETURN NULL;
    END IF;
    IF NEW.outcome IS NOT NULL AND OLD.outcome IS DISTINCT FROM NEW.outcome THEN
        INSERT INTO counter_changes (name, labels, amount) VALUES ('outcomes', ARRAY[NEW.model, NEW.outcome], 1);
    END IF;
    IF NEW.last_received_at IS NOT NULL AND OLD.reported_at IS NULL AND NEW.reported_at IS NOT NULL THEN
        PERFORM count_dwell('reported', NEW.reported_at - NEW.last_received_at);
    END IF;
    IF NEW.last_received_at IS NOT NULL AND OLD.delivered_at IS NULL AND NEW.delivered_at IS NOT NULL THEN
        PERFORM count_dwell('delivered', NEW.delivered_at - NEW.last_received_at);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER count_jobs AFTER INSERT OR UPDATE OF state, outcome ON jobs FOR EACH ROW EXECUTE FUNCTION count_jobs();

-- Deliveries by destination and state.
CREATE FUNCTION count_deliveries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.state = NEW.state THEN
            RETURN NULL;
        END IF;
        INSERT INTO counter_changes (name, labels, amount) VALUES ('deliveries', ARRAY[NEW.destination, OLD.state], -1);
    END IF;
    INSERT INTO counter_changes (name, labels, amount) VALUES ('deliveries', ARRAY[NEW.destination, NEW.state], 1);
    RETURN NULL;
END $$;

CREATE TRIGGER count_deliveries AFTER INSERT OR UPDATE OF state ON deliveries FOR EACH ROW EXECUTE FUNCTION count_deliveries();

-- Delivery attempts by destination and result.
CREATE FUNCTION count_sendings() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO counter_changes (name, labels, amount)
    SELECT 'sendings', ARRAY[d.destination, NEW.result], 1 FROM deliveries d WHERE d.id = NEW.delivery_id;
    RETURN NULL;
END $$;

CREATE TRIGGER count_sendings AFTER UPDATE OF result ON delivery_attempts FOR EACH ROW
WHEN (OLD.result IS DISTINCT FROM NEW.result) EXECUTE FUNCTION count_sendings();

-- Attempts by model and result.
CREATE FUNCTION count_attempts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO counter_changes (name, labels, amount)
    SELECT 'attempts', ARRAY[j.model, NEW.result], 1 FROM jobs j WHERE j.id = NEW.job_id;
    RETURN NULL;
END $$;

CREATE TRIGGER count_attempts AFTER UPDATE OF result ON attempts FOR EACH ROW
WHEN (OLD.result IS DISTINCT FROM NEW.result) EXECUTE FUNCTION count_attempts();

-- Instances of complete units only: an open unit may get a hundred instances a second, and there are few open units, so that their
-- instances are counted when they are asked for.
CREATE FUNCTION count_units() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO counter_changes (name, labels, amount)
    VALUES ('instances', '{}', CASE WHEN NEW.state = 'complete' THEN NEW.held ELSE -OLD.held END);
    RETURN NULL;
END $$;

CREATE TRIGGER count_new_units AFTER INSERT ON units FOR EACH ROW WHEN (NEW.state = 'complete') EXECUTE FUNCTION count_units();

CREATE TRIGGER count_units AFTER UPDATE OF state ON units FOR EACH ROW
WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION count_units();

-- Number and size of what is in quarantine.
CREATE FUNCTION count_quarantine() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO counter_changes (name, labels, amount)
        VALUES ('quarantine_items', '{}', 1), ('quarantine_bytes', '{}', NEW.size_bytes);
    ELSE
        INSERT INTO counter_changes (name, labels, amount)
        VALUES ('quarantine_items', '{}', -1), ('quarantine_bytes', '{}', -OLD.size_bytes);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER count_quarantine AFTER INSERT OR DELETE ON quarantine FOR EACH ROW EXECUTE FUNCTION count_quarantine();
