-- The memory of the worker's process while a job was analysed, for the costs of a version on trial.

ALTER TABLE jobs ADD COLUMN memory_mib integer;

COMMENT ON COLUMN jobs.memory_mib IS 'The most memory that the worker''s process held during the attempt that made the result, MiB, loaded models included; NULL for results of older versions';
