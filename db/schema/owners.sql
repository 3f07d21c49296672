-- Not part of any revision: executed after every upgrade by a superuser (db/schema/owners.py), as often as one likes.
-- dicom_node.node_role names the node's role, dicom_node.audit_owner the owner of the audit trail. The search path is pg_catalog alone.

DO $$
DECLARE
    node text := current_setting('dicom_node.node_role');
    owner text := current_setting('dicom_node.audit_owner');
    trail CONSTANT text[] := ARRAY['audit_events', 'audit_events_id_seq'];
    guards CONSTANT text[] := ARRAY['audit_events_guard', 'audit_link'];
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
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA public TO %I', node);

    -- Sequences of bigserial columns follow their tables.
    FOR found IN
        SELECT c.oid::regclass AS name, CASE WHEN c.relname = ANY(trail) THEN owner ELSE node END AS new_owner
        FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'S')
          AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'i')))
          AND c.relowner <> (CASE WHEN c.relname = ANY(trail) THEN owner ELSE node END)::regrole
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO %I', found.name, found.new_owner);
    END LOOP;
    FOR found IN
        SELECT p.oid::regprocedure AS name, CASE WHEN p.proname = ANY(guards) THEN owner ELSE node END AS new_owner
        FROM pg_proc p WHERE p.pronamespace = 'public'::regnamespace
          AND p.proowner <> (CASE WHEN p.proname = ANY(guards) THEN owner ELSE node END)::regrole
    LOOP
        EXECUTE format('ALTER ROUTINE %s OWNER TO %I', found.name, found.new_owner);
    END LOOP;

    IF to_regclass('public.audit_events') IS NULL THEN
        RETURN;
    END IF;
    EXECUTE format('REVOKE ALL ON public.audit_events, public.audit_events_id_seq FROM PUBLIC, %I', node);
    EXECUTE format('GRANT SELECT, INSERT (actor, action, subject, details) ON public.audit_events TO %I', node);
    EXECUTE format('GRANT USAGE, SELECT ON SEQUENCE public.audit_events_id_seq TO %I', node);
    IF to_regprocedure('public.audit_link(text, bigint[], text[])') IS NOT NULL THEN
        REVOKE ALL ON FUNCTION public.audit_link(text, bigint[], text[]) FROM PUBLIC;
        EXECUTE format('GRANT EXECUTE ON FUNCTION public.audit_link(text, bigint[], text[]) TO %I', node);
    ELSE  -- an older schema, before it is upgraded
        EXECUTE format('GRANT UPDATE ON public.audit_events TO %I', node);
    END IF;
END $$;
