-- What the console and the status page show of the anchor. Proof is the file of the anchors, never this row.

CREATE TABLE audit_anchor (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    number bigint NOT NULL,
    hash text NOT NULL,
    anchored_at timestamptz NOT NULL DEFAULT node_now(),
    checked_at timestamptz NOT NULL DEFAULT node_now(),
    problem text NOT NULL DEFAULT '',
    recipients jsonb NOT NULL DEFAULT '{}'
);

COMMENT ON TABLE audit_anchor IS 'The last anchor of the audit trail, one row; the proof is the file of the anchors';
COMMENT ON COLUMN audit_anchor.one IS 'Always true: there is one row';
COMMENT ON COLUMN audit_anchor.number IS 'Place in the hash chain of the event whose hash was anchored last';
COMMENT ON COLUMN audit_anchor.hash IS 'Its hash';
COMMENT ON COLUMN audit_anchor.anchored_at IS 'When that anchor was written';
COMMENT ON COLUMN audit_anchor.checked_at IS 'When chain and anchor were last compared';
COMMENT ON COLUMN audit_anchor.problem IS 'Why the chain does not fit its anchor, or why the anchor cannot be written; empty: it fits';
COMMENT ON COLUMN audit_anchor.recipients IS 'For each recipient, such as syslog: time of the last anchor it took (at), and the problem of the last attempt (problem)';
