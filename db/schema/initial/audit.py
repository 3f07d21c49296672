"""The audit trail: rows are added, chained once, and never changed or deleted again."""

STATEMENTS = (
    """
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
    )
    """,
    "COMMENT ON TABLE audit_events IS 'chain_hash = sha256(hash of chain_seq - 1, newline, canonical JSON of the event)'",
    "CREATE INDEX audit_events_unchained ON audit_events (id) WHERE chain_seq IS NULL",
    "CREATE INDEX audit_events_subject ON audit_events (subject)",
    """
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
    END $$
    """,
    """
    CREATE TRIGGER audit_events_rows BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_events_guard()
    """,
    """
    CREATE TRIGGER audit_events_truncate BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_events_guard()
    """,
)
