-- Audit events by month, so that a month that is archived is one table to detach, and not millions of rows to delete.
--
-- audit_events becomes a partitioned table with the same columns. Rows are not copied: the table of a database with events becomes
-- the first part, which holds everything up to the end of the month of the upgrade. An index on a partitioned table is unique only
-- together with the partition key: id comes from a sequence alone, and chain_seq is unique because audit_link gives numbers out under a lock.

CREATE TABLE audit_months (
    name text PRIMARY KEY,
    begins_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    archived_at timestamptz,
    file text NOT NULL DEFAULT '',
    sha256 text NOT NULL DEFAULT '',
    events bigint NOT NULL DEFAULT 0,
    runs jsonb NOT NULL DEFAULT '[]',
    CHECK (begins_at < ends_at)
);

COMMENT ON TABLE audit_months IS 'Parts of the audit trail by the time of the events: tables of one month each, and months that were archived';
COMMENT ON COLUMN audit_months.name IS 'Name of the part: a month such as 2026_11, or to_2026_11 for everything before the upgrade that introduced parts';
COMMENT ON COLUMN audit_months.begins_at IS 'It holds the events from this time on';
COMMENT ON COLUMN audit_months.ends_at IS 'It holds the events before this time';
COMMENT ON COLUMN audit_months.archived_at IS 'When its events were written to a file and removed; NULL while they are in the database';
COMMENT ON COLUMN audit_months.file IS 'Name of the file of the archived events; empty while they are in the database';
COMMENT ON COLUMN audit_months.sha256 IS 'SHA-256 of that file; empty while the events are in the database';
COMMENT ON COLUMN audit_months.events IS 'Number of archived events';
COMMENT ON COLUMN audit_months.runs IS 'Archived stretches of the hash chain: first and last number, the hash before the first and the hash of the last';

-- Made first and attached then: unlike CREATE TABLE ... PARTITION OF, this does not wait for readers or writers of audit_events.
CREATE FUNCTION audit_add_part(part text, begins timestamptz, ends timestamptz) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    name text := 'audit_events_' || part;
    owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'public.audit_events'::regclass);
    reader name;
BEGIN
    EXECUTE format('CREATE TABLE public.%I (LIKE public.audit_events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
    EXECUTE format('CREATE TRIGGER audit_events_truncate BEFORE TRUNCATE ON public.%I FOR EACH STATEMENT '
                   'EXECUTE FUNCTION public.audit_events_guard()', name);
    EXECUTE format('ALTER TABLE public.%I OWNER TO %I', name, owner);
    FOR reader IN  -- pg_dump reads the parts themselves
        SELECT pg_get_userbyid(a.grantee) FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'public.audit_events'::regclass AND a.privilege_type = 'SELECT' AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT SELECT ON public.%I TO %I', name, reader);
    END LOOP;
    EXECUTE format('ALTER TABLE public.audit_events ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', name, begins, ends);
END $$;

COMMENT ON FUNCTION audit_add_part(text, timestamptz, timestamptz) IS 'Makes an empty part of the audit trail for the events of this time, without its row in audit_months';

CREATE FUNCTION audit_add_month(month timestamptz) RETURNS boolean LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    first timestamptz := date_trunc('month', month AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
    next timestamptz := (date_trunc('month', month AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
    part text := to_char(month AT TIME ZONE 'UTC', 'YYYY_MM');
BEGIN
    IF EXISTS (SELECT FROM public.audit_months m WHERE m.begins_at < next AND m.ends_at > first) THEN
        RETURN false;
    END IF;
    IF EXISTS (SELECT FROM public.audit_events_other o WHERE o.at >= first AND o.at < next) THEN
        RETURN false;  -- these events stay where they are, and so do the later ones of this month
    END IF;
    PERFORM public.audit_add_part(part, first, next);
    INSERT INTO public.audit_months (name, begins_at, ends_at) VALUES (part, first, next);
    RETURN true;
END $$;

COMMENT ON FUNCTION audit_add_month(timestamptz) IS 'Makes the part of the audit trail for the month (UTC) of this time; false where the time is covered';

-- With the rights of the owner of the audit trail: nothing that the node owns is executed, and the clock is PostgreSQL's. The time limit is for the table of other times, which may be read for minutes.
CREATE FUNCTION audit_add_months() RETURNS integer LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
    added integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('audit_add_months'));
    FOR ahead IN 0..3 LOOP
        added := added + public.audit_add_month(clock_timestamp() + make_interval(months => ahead))::integer;
    END LOOP;
    RETURN added;
END $$;

COMMENT ON FUNCTION audit_add_months() IS 'Makes the parts of the audit trail for this month and the next three; returns how many it made';

DO $$
DECLARE
    owner name := (SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = 'audit_events'::regclass);
    newest timestamptz;
    ends timestamptz;
    part text;
    found record;
BEGIN
    LOCK TABLE audit_events IN ACCESS EXCLUSIVE MODE;
    SELECT max(at) INTO newest FROM audit_events;
    ALTER TABLE audit_events RENAME TO audit_events_old;
    ALTER TABLE audit_events_old DROP CONSTRAINT audit_events_pkey, DROP CONSTRAINT audit_events_chain_seq_key;
    DROP TRIGGER audit_events_rows ON audit_events_old;
    CREATE TABLE audit_events (LIKE audit_events_old INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING COMMENTS) PARTITION BY RANGE (at);
    EXECUTE format('ALTER TABLE audit_events OWNER TO %I', owner);
    ALTER SEQUENCE audit_events_id_seq OWNED BY audit_events.id;
    COMMENT ON TABLE audit_events IS
        'Audit events, written in the transaction of the act and linked to a hash chain right after it; no patient identifiers. Partitioned by month';
    CREATE TABLE audit_events_other PARTITION OF audit_events DEFAULT;
    ALTER TABLE audit_events ADD PRIMARY KEY (id, at), ADD UNIQUE (chain_seq, at);
    -- The other indexes as they are: an equal index of a part is taken over and not built again.
    FOR found IN
        SELECT c.relname AS name, pg_get_indexdef(i.indexrelid) AS definition FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
        WHERE i.indrelid = 'audit_events_old'::regclass
    LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', found.name, found.name || '_old');
        EXECUTE replace(found.definition, ' ON public.audit_events_old ', ' ON public.audit_events ');
    END LOOP;
    CREATE TRIGGER audit_events_rows BEFORE UPDATE OR DELETE ON audit_events FOR EACH ROW EXECUTE FUNCTION audit_events_guard();
    CREATE TRIGGER audit_events_truncate BEFORE TRUNCATE ON audit_events FOR EACH STATEMENT EXECUTE FUNCTION audit_events_guard();
    CREATE TRIGGER audit_events_truncate BEFORE TRUNCATE ON audit_events_other FOR EACH STATEMENT EXECUTE FUNCTION audit_events_guard();
    IF newest IS NULL THEN
        DROP TABLE audit_events_old;
    ELSE
        newest := greatest(newest, clock_timestamp());
        ends := (date_trunc('month', newest AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC';
        part := 'to_' || to_char(newest AT TIME ZONE 'UTC', 'YYYY_MM');
        EXECUTE format('ALTER TABLE audit_events_old RENAME TO %I', 'audit_events_' || part);
        EXECUTE format('ALTER TABLE audit_events ATTACH PARTITION %I FOR VALUES FROM (''-infinity'') TO (%L)', 'audit_events_' || part, ends);
        INSERT INTO audit_months (name, begins_at, ends_at) VALUES (part, '-infinity', ends);
    END IF;
END $$;

SELECT audit_add_months();

-- As before (audit_link.sql), and one at a time: the index can no longer refuse a number that was given out twice. The times let
-- PostgreSQL look at the months of the unchained events only.
CREATE OR REPLACE FUNCTION audit_link(previous text, ids bigint[], hashes text[]) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    head record;
    times record;
    linked bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(418581342580);  -- db.audit.CHAIN_LOCK
    SELECT chain_seq, chain_hash INTO head FROM public.audit_events WHERE chain_seq IS NOT NULL ORDER BY chain_seq DESC LIMIT 1;
    IF coalesce(head.chain_hash, repeat('0', 64)) <> previous THEN
        RAISE EXCEPTION 'the audit chain does not end with the expected hash' USING ERRCODE = 'serialization_failure';
    END IF;
    SELECT min(at) AS oldest, max(at) AS newest INTO times FROM public.audit_events WHERE chain_seq IS NULL;
    UPDATE public.audit_events e SET chain_seq = coalesce(head.chain_seq, 0) + link.place, chain_hash = link.hash
    FROM unnest(ids, hashes) WITH ORDINALITY AS link (id, hash, place)
    WHERE e.id = link.id AND e.chain_seq IS NULL AND e.at BETWEEN times.oldest AND times.newest;
    GET DIAGNOSTICS linked = ROW_COUNT;
    RETURN linked;
END $$;
