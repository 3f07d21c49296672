-- Files that people upload in the console: what has arrived in the spool folder, and what the listener made of it.

CREATE TABLE uploads (
    id bigserial PRIMARY KEY,
    actor text NOT NULL,
    statement jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT node_now(),
    finished_at timestamptz
);
CREATE INDEX uploads_open ON uploads (actor) WHERE finished_at IS NULL;

COMMENT ON TABLE uploads IS 'Uploads of the console: one or several files that one person sent together; deleted some days after their end';
COMMENT ON COLUMN uploads.id IS 'Number of the upload';
COMMENT ON COLUMN uploads.actor IS 'Who uploaded';
COMMENT ON COLUMN uploads.statement IS 'What the person stated about patient, date and body site of photographs; DICOM files say it themselves';
COMMENT ON COLUMN uploads.created_at IS 'When it was begun';
COMMENT ON COLUMN uploads.finished_at IS 'When its last file was taken, refused, cancelled or had expired; NULL while it is open';

CREATE TABLE upload_files (
    id bigserial PRIMARY KEY,
    upload_id bigint NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
    ordinal integer NOT NULL,
    name text NOT NULL,
    size_bytes bigint NOT NULL,
    modified_ms bigint NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'receiving'
        CHECK (state IN ('receiving', 'received', 'taking', 'done', 'refused', 'cancelled', 'expired')),
    attempts integer NOT NULL DEFAULT 0,
    lease_until timestamptz,
    not_before timestamptz NOT NULL DEFAULT node_now(),
    changed_at timestamptz NOT NULL DEFAULT node_now(),
    message text NOT NULL DEFAULT '',
    instances integer NOT NULL DEFAULT 0,
    known integer NOT NULL DEFAULT 0,
    studies bigint[] NOT NULL DEFAULT '{}',
    problems jsonb NOT NULL DEFAULT '[]',
    UNIQUE (upload_id, ordinal)
);
CREATE INDEX upload_files_waiting ON upload_files (id) WHERE state IN ('receiving', 'received', 'taking');

COMMENT ON TABLE upload_files IS 'Files of uploads; the bytes that have arrived are in the upload folder, in a file named by the id';
COMMENT ON COLUMN upload_files.id IS 'Number of the file, and its name in the upload folder';
COMMENT ON COLUMN upload_files.upload_id IS 'The upload it belongs to';
COMMENT ON COLUMN upload_files.ordinal IS 'Place in the upload, from 1';
COMMENT ON COLUMN upload_files.name IS 'Name that the file has on the computer of the person; never used as a path';
COMMENT ON COLUMN upload_files.size_bytes IS 'Size that was announced, in bytes';
COMMENT ON COLUMN upload_files.modified_ms IS 'Time of the last change that was announced, in milliseconds since 1970: finds the file again when an upload is resumed';
COMMENT ON COLUMN upload_files.state IS 'receiving: bytes are missing; received: waits for the listener; taking: the listener reads it; done: at least one instance was stored; refused; cancelled; expired';
COMMENT ON COLUMN upload_files.attempts IS 'How often the listener began to read it';
COMMENT ON COLUMN upload_files.lease_until IS 'Until when the listener that reads it must have renewed its lease';
COMMENT ON COLUMN upload_files.not_before IS 'The listener does not try again before';
COMMENT ON COLUMN upload_files.changed_at IS 'Last change of the row, and last piece of a file that arrives';
COMMENT ON COLUMN upload_files.message IS 'Why it was refused, in words';
COMMENT ON COLUMN upload_files.instances IS 'How many instances it held that are stored now';
COMMENT ON COLUMN upload_files.known IS 'How many of them had been stored before';
COMMENT ON COLUMN upload_files.studies IS 'Studies of its instances';
COMMENT ON COLUMN upload_files.problems IS 'What of an archive was refused: name and reason of each entry, at most 100';
