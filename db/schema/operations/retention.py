"""Bytes that were let go: the row stays, with its hash, and says when."""

STATEMENTS = (
    "ALTER TABLE instances ADD COLUMN removed_at timestamptz",
    "COMMENT ON COLUMN instances.removed_at IS 'retention removed the bytes; the hash still says what was seen'",
    "ALTER TABLE reports ADD COLUMN removed_at timestamptz",
    "COMMENT ON COLUMN reports.removed_at IS 'retention removed the bytes, after every destination had them'",
    "ALTER TABLE jobs ADD COLUMN last_received_at timestamptz",
    "COMMENT ON COLUMN jobs.last_received_at IS 'when the last image of the unit came in; NULL for a run that a person asked for'",
    # What a retention run walks through: complete units by age.
    "CREATE INDEX units_completed ON units (completed_at, id) WHERE state = 'complete'",
)
