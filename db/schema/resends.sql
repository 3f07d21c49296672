-- Objects that a person had sent again.

ALTER TABLE deliveries ADD COLUMN resent_at timestamptz;

COMMENT ON COLUMN deliveries.resent_at IS 'When a person had it sent again the last time after it had been stored, committed or had failed; NULL if never';
