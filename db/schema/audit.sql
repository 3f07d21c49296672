-- The audit trail: rows are added, chained once, and never changed or deleted.

CREATE TABLE audit_events (
    id bigserial PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT node_now(),
    actor text NOT NULL,
    action text NOT NULL,
    subject text NOT NULL,
    details jsonb NOT NULL,
    chain_seq bigint UNIQUE,
    chain_hash text,
    CHECK ((chain_seq IS NULL) = (chain_hash IS NULL))
);

CREATE INDEX audit_events_unchained ON audit_events (id) WHERE chain_seq IS NULL;
CREATE INDEX audit_events_subject ON audit_events (subject);
-- The events that become notifications (db/operations).
CREATE INDEX audit_events_failures ON audit_events (id) WHERE action IN ('job.failed', 'job.quarantined', 'delivery.failed');

COMMENT ON TABLE audit_events IS 'Audit events, written in the transaction of the act and linked to a hash chain right after it; no patient identifiers';
COMMENT ON COLUMN audit_events.id IS 'Number of the event';
COMMENT ON COLUMN audit_events.at IS 'When it happened';
COMMENT ON COLUMN audit_events.actor IS 'Who did it: a user, a role, or ae:TITLE for a peer';
COMMENT ON COLUMN audit_events.action IS 'What was done, for example job.reported';
COMMENT ON COLUMN audit_events.subject IS 'To what, for example job:17';
COMMENT ON COLUMN audit_events.details IS 'Facts about it: hashes, digests, counts, keyed patient references';
COMMENT ON COLUMN audit_events.chain_seq IS 'Place in the hash chain, from 1 without gaps; NULL until it is chained';
COMMENT ON COLUMN audit_events.chain_hash IS 'SHA-256 of the hash of the event before it, a newline, and this event as canonical JSON';

CREATE FUNCTION audit_events_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF OLD.chain_seq IS NULL AND NEW.chain_seq IS NOT NULL AND NEW.chain_hash IS NOT NULL
           AND ROW(NEW.id, NEW.at, NEW.actor, NEW.action, NEW.subject, NEW.details)
               IS NOT DISTINCT FROM ROW(OLD.id, OLD.at, OLD.actor, OLD.action, OLD.subject, OLD.details) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'audit_events is append-only: % refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;

COMMENT ON FUNCTION audit_events_guard() IS 'Refuses every change of an audit event but the one that links it to the chain';

CREATE TRIGGER audit_events_rows BEFORE UPDATE OR DELETE ON audit_events
FOR EACH ROW EXECUTE FUNCTION audit_events_guard();

CREATE TRIGGER audit_events_truncate BEFORE TRUNCATE ON audit_events
FOR EACH STATEMENT EXECUTE FUNCTION audit_events_guard();
