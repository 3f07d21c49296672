-- Instances, the associations that brought them, and what was refused.

CREATE TABLE instances (
    id bigserial PRIMARY KEY,
    unit_id bigint NOT NULL REFERENCES units,
    sop_instance_uid text NOT NULL,
    sop_class_uid text NOT NULL,
    transfer_syntax_uid text NOT NULL,
    sha256 text NOT NULL,
    size_bytes bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('current', 'undecided', 'equivalent', 'superseded')),
    revision integer NOT NULL,
    header jsonb NOT NULL,
    notes text[] NOT NULL DEFAULT '{}',
    source text NOT NULL,
    association_id uuid NOT NULL,
    received_at timestamptz NOT NULL DEFAULT node_now(),
    duplicates integer NOT NULL DEFAULT 0,
    removed_at timestamptz,
    UNIQUE (sop_instance_uid, sha256)
);

CREATE UNIQUE INDEX instances_current ON instances (sop_instance_uid) WHERE state = 'current';
CREATE INDEX instances_undecided ON instances (unit_id, id) WHERE state = 'undecided';
CREATE INDEX instances_of_unit ON instances (unit_id, id);
CREATE INDEX instances_sha256 ON instances (sha256);

COMMENT ON TABLE instances IS 'One row per content (SHA-256) of a SOP Instance UID; at most one of them is current';
COMMENT ON COLUMN instances.id IS 'Number of the instance';
COMMENT ON COLUMN instances.unit_id IS 'The unit of analysis it belongs to';
COMMENT ON COLUMN instances.sop_instance_uid IS 'SOP Instance UID (0008,0018)';
COMMENT ON COLUMN instances.sop_class_uid IS 'SOP Class UID (0008,0016)';
COMMENT ON COLUMN instances.transfer_syntax_uid IS 'Transfer syntax in which it was received and is kept';
COMMENT ON COLUMN instances.sha256 IS 'SHA-256 of the file (Part 10), which is the name of its blob';
COMMENT ON COLUMN instances.size_bytes IS 'Size of the file in bytes';
COMMENT ON COLUMN instances.state IS 'current; undecided: other bytes for a known UID, not compared yet; equivalent: other bytes with equal attributes and pixels; superseded: replaced by a changed content';
COMMENT ON COLUMN instances.revision IS 'Revision of the unit that it came with';
COMMENT ON COLUMN instances.header IS 'Attributes that routing and analysis use, as received';
COMMENT ON COLUMN instances.notes IS 'Errors in the data set that were tolerated';
COMMENT ON COLUMN instances.source IS 'Calling AE title of the sender';
COMMENT ON COLUMN instances.association_id IS 'Association that brought it';
COMMENT ON COLUMN instances.received_at IS 'When it was received';
COMMENT ON COLUMN instances.duplicates IS 'How many more times the same bytes were received';
COMMENT ON COLUMN instances.removed_at IS 'When retention removed the file; the row and its hash remain';

CREATE TABLE associations (
    id uuid PRIMARY KEY,
    calling_ae text NOT NULL,
    called_ae text NOT NULL,
    address text NOT NULL,
    listener text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT node_now(),
    lease_until timestamptz NOT NULL,
    closed_at timestamptz,
    end_reason text CHECK (end_reason IN ('released', 'aborted', 'lost')),
    CHECK ((closed_at IS NULL) = (end_reason IS NULL))
);

CREATE INDEX associations_open ON associations (lease_until) WHERE closed_at IS NULL;

COMMENT ON TABLE associations IS 'Accepted associations. An open one is leased: if its listener is killed, it counts as lost when the lease expires';
COMMENT ON COLUMN associations.id IS 'Identifier of the association';
COMMENT ON COLUMN associations.calling_ae IS 'Calling AE title';
COMMENT ON COLUMN associations.called_ae IS 'Called AE title';
COMMENT ON COLUMN associations.address IS 'Network address of the peer';
COMMENT ON COLUMN associations.listener IS 'Name of the listener process';
COMMENT ON COLUMN associations.opened_at IS 'When it was accepted';
COMMENT ON COLUMN associations.lease_until IS 'When it counts as lost unless the listener renews the lease';
COMMENT ON COLUMN associations.closed_at IS 'When it ended; NULL while it is open';
COMMENT ON COLUMN associations.end_reason IS 'How it ended: released, aborted or lost';

CREATE TABLE association_units (
    association_id uuid NOT NULL,
    unit_id bigint NOT NULL REFERENCES units,
    calling_ae text NOT NULL,
    last_instance_at timestamptz NOT NULL,
    PRIMARY KEY (unit_id, association_id)
);

CREATE INDEX units_of_association ON association_units (association_id);

COMMENT ON TABLE association_units IS 'Which associations brought instances of a unit';
COMMENT ON COLUMN association_units.association_id IS 'The association';
COMMENT ON COLUMN association_units.unit_id IS 'The unit';
COMMENT ON COLUMN association_units.calling_ae IS 'Calling AE title of the association';
COMMENT ON COLUMN association_units.last_instance_at IS 'When the last instance of the unit came on it';

CREATE TABLE quarantine (
    id bigserial PRIMARY KEY,
    sha256 text NOT NULL UNIQUE,
    size_bytes bigint NOT NULL,
    reason text NOT NULL,
    status integer NOT NULL,
    sop_class_uid text NOT NULL,
    sop_instance_uid text NOT NULL,
    association_id uuid NOT NULL,
    source text NOT NULL,
    first_at timestamptz NOT NULL DEFAULT node_now(),
    last_at timestamptz NOT NULL DEFAULT node_now(),
    times integer NOT NULL DEFAULT 1
);

-- The oldest rows are found without reading the whole table, so that many refusals do not make each one slower.
CREATE INDEX quarantine_oldest ON quarantine (last_at, id);

COMMENT ON TABLE quarantine IS 'Data sets that were refused with a failure status, by content; the total size is limited and the oldest are removed first';
COMMENT ON COLUMN quarantine.id IS 'Number of the item';
COMMENT ON COLUMN quarantine.sha256 IS 'SHA-256 of the bytes, which is the name of the blob';
COMMENT ON COLUMN quarantine.size_bytes IS 'Size in bytes';
COMMENT ON COLUMN quarantine.reason IS 'Why it was refused';
COMMENT ON COLUMN quarantine.status IS 'Status of the C-STORE response';
COMMENT ON COLUMN quarantine.sop_class_uid IS 'SOP Class UID of the request';
COMMENT ON COLUMN quarantine.sop_instance_uid IS 'SOP Instance UID of the request';
COMMENT ON COLUMN quarantine.association_id IS 'Association that brought it last';
COMMENT ON COLUMN quarantine.source IS 'Calling AE title of the last sender';
COMMENT ON COLUMN quarantine.first_at IS 'When it was refused first';
COMMENT ON COLUMN quarantine.last_at IS 'When it was refused last';
COMMENT ON COLUMN quarantine.times IS 'How many times it was refused';

CREATE TABLE blob_removals (
    sha256 text PRIMARY KEY,
    size_bytes bigint NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT node_now()
);

COMMENT ON TABLE blob_removals IS 'Blobs that no row needs any more and whose files are still to be removed';
COMMENT ON COLUMN blob_removals.sha256 IS 'Name of the blob';
COMMENT ON COLUMN blob_removals.size_bytes IS 'Size in bytes';
COMMENT ON COLUMN blob_removals.requested_at IS 'When the removal was requested';
