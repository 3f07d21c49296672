-- Not part of any revision: executed after every upgrade by a superuser (db/schema/owners.py), as often as one likes.
-- dicom_node.node_role names the node's role, dicom_node.audit_owner the owner of the audit trail. The search path is pg_catalog alone.

DO $$
DECLARE
    node text := current_setting('dicom_node.node_role');
    owner text := current_setting('dicom_node.audit_owner');
    trail oid[];
    -- By signature: another function of the same name stays with the node, and so does a table that only looks like a part of the trail.
    guards CONSTANT text[] := ARRAY[
        'public.audit_events_guard()', 'public.audit_link(text,bigint[],text[])', 'public.audit_add_months()',
        'public.audit_add_month(timestamp with time zone)',
        'public.audit_add_part(text,timestamp with time zone,timestamp with time zone)'];
    found record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = owner) THEN
        EXECUTE format('CREATE ROLE %I NOLOGIN', owner);
    END IF;
    EXECUTE format('REVOKE %I FROM %I', owner, node);
    -- The owner of a schema may drop every table in it: the schema belongs to the owner of the database, which is not the node.
    FOR found IN SELECT FROM pg_database WHERE datname = current_database() AND datdba = node::regrole LOOP
        EXECUTE format('ALTER DATABASE %I OWNER TO CURRENT_USER', current_database());
    END LOOP;
    FOR found IN SELECT FROM pg_namespace WHERE nspname = 'public' AND nspowner = node::regrole LOOP
        ALTER SCHEMA public OWNER TO pg_database_owner;
    END LOOP;
    EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO %I', current_database(), node);
    EXECUTE format('REVOKE CREATE ON DATABASE %I FROM %I', current_database(), node);
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA public TO %I, %I', node, owner);

    trail := ARRAY[to_regclass('public.audit_events')::oid, to_regclass('public.audit_months')::oid]
             || ARRAY(SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass('public.audit_events'));
    -- Sequences of bigserial columns follow their tables.
    FOR found IN
        SELECT c.oid::regclass AS name, CASE WHEN c.oid = ANY(trail) THEN owner ELSE node END AS new_owner
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
          AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i')))
          AND c.relowner <> (CASE WHEN c.oid = ANY(trail) THEN owner ELSE node END)::regrole
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO %I', found.name, found.new_owner);
    END LOOP;
    FOR found IN
        SELECT p.oid::regprocedure AS name, CASE WHEN p.oid::regprocedure::text = ANY(guards) THEN owner ELSE node END AS new_owner
        FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
          AND p.proowner <> (CASE WHEN p.oid::regprocedure::text = ANY(guards) THEN owner ELSE node END)::regrole
    LOOP
        EXECUTE format('ALTER ROUTINE %s OWNER TO %I', found.name, found.new_owner);
    END LOOP;

    IF to_regclass('public.audit_events') IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('REVOKE ALL ON public.audit_events, public.audit_events_id_seq FROM PUBLIC, %I', node);
    EXECUTE format('GRANT SELECT, INSERT (actor, action, subject, details) ON public.audit_events TO %I', node);
    EXECUTE format('GRANT USAGE, SELECT ON SEQUENCE public.audit_events_id_seq TO %I', node);
    IF to_regclass('public.audit_months') IS NOT NULL THEN
        EXECUTE format('REVOKE ALL ON public.audit_months FROM PUBLIC, %I', node);
        EXECUTE format('GRANT SELECT ON public.audit_months TO %I', node);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON public.audit_months TO %I', owner);
        REVOKE ALL ON FUNCTION public.audit_add_part(text, timestamptz, timestamptz), public.audit_add_month(timestamptz),
            public.audit_add_months() FROM PUBLIC;
        EXECUTE format('GRANT EXECUTE ON FUNCTION public.audit_add_months() TO %I', node);
        -- Read only: pg_dump reads the parts themselves. audit_add_part does the same for later ones.
        FOR found IN SELECT inhrelid::regclass AS name FROM pg_inherits WHERE inhparent = 'public.audit_events'::regclass LOOP
            EXECUTE format('REVOKE ALL ON %s FROM PUBLIC, %I', found.name, node);
            EXECUTE format('GRANT SELECT ON %s TO %I', found.name, node);
        END LOOP;
    END IF;
    IF to_regprocedure('public.audit_link(text, bigint[], text[])') IS NOT NULL THEN
        REVOKE ALL ON FUNCTION public.audit_link(text, bigint[], text[]) FROM PUBLIC;
        EXECUTE format('GRANT EXECUTE ON FUNCTION public.audit_link(text, bigint[], text[]) TO %I', node);
    ELSE  -- an older schema, before it is upgraded
        EXECUTE format('GRANT UPDATE ON public.audit_events TO %I', node);
    END IF;
END $$;
