-- The time of audit events comes from PostgreSQL itself: the node owns node_now() and could replace it to move the time of new events.

ALTER TABLE audit_events ALTER COLUMN at SET DEFAULT clock_timestamp();

COMMENT ON COLUMN audit_events.at IS 'When it happened, by the clock of PostgreSQL: not by node_now(), which the node may replace';
