-- Storage commitment (PS3.4 Annex J): what the node requests of destinations, and what sources request of the node.

CREATE TABLE commitment_requests (
    id bigserial PRIMARY KEY,
    destination text NOT NULL,
    transaction_uid text NOT NULL UNIQUE,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'requested', 'answered', 'unanswered')),
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT node_now(),
    created_at timestamptz NOT NULL DEFAULT node_now(),
    requested_at timestamptz,
    answered_at timestamptz,
    note text NOT NULL DEFAULT ''
);

CREATE INDEX commitment_requests_due ON commitment_requests (destination, next_attempt_at) WHERE state IN ('waiting', 'requested');

COMMENT ON TABLE commitment_requests IS 'Storage commitment requests of the node to destinations, each for several deliveries';
COMMENT ON COLUMN commitment_requests.id IS 'Number of the request';
COMMENT ON COLUMN commitment_requests.destination IS 'Name of the destination';
COMMENT ON COLUMN commitment_requests.transaction_uid IS 'Transaction UID (0008,1195)';
COMMENT ON COLUMN commitment_requests.state IS 'waiting: to be sent. requested: sent, no report yet. answered: reported. unanswered: replaced by a request with another Transaction UID, or failed permanently';
COMMENT ON COLUMN commitment_requests.attempts IS 'How many times these deliveries were part of a request that the destination accepted';
COMMENT ON COLUMN commitment_requests.next_attempt_at IS 'When it is sent, or sent again';
COMMENT ON COLUMN commitment_requests.created_at IS 'When it was created';
COMMENT ON COLUMN commitment_requests.requested_at IS 'When the destination accepted the request';
COMMENT ON COLUMN commitment_requests.answered_at IS 'When the report was received, or the request ended without one';
COMMENT ON COLUMN commitment_requests.note IS 'Why it could not be sent';

CREATE TABLE commitment_request_items (
    commitment_id bigint NOT NULL REFERENCES commitment_requests,
    delivery_id bigint NOT NULL REFERENCES deliveries,
    resends integer NOT NULL,
    PRIMARY KEY (commitment_id, delivery_id)
);

COMMENT ON TABLE commitment_request_items IS 'The deliveries of a storage commitment request';
COMMENT ON COLUMN commitment_request_items.commitment_id IS 'The request';
COMMENT ON COLUMN commitment_request_items.delivery_id IS 'The delivery';
COMMENT ON COLUMN commitment_request_items.resends IS 'deliveries.resends at the time of the request: a report on an earlier sending does not count';

-- deliveries and commitment_requests refer to each other: this reference is added when both are there.
ALTER TABLE deliveries ADD FOREIGN KEY (commitment_id) REFERENCES commitment_requests;

CREATE TABLE source_commitment_requests (
    id bigserial PRIMARY KEY,
    source text NOT NULL,
    transaction_uid text NOT NULL,
    sop_class_uids text[] NOT NULL,
    sop_instance_uids text[] NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'answered', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT node_now(),
    received_at timestamptz NOT NULL DEFAULT node_now(),
    answered_at timestamptz,
    held integer,
    note text NOT NULL DEFAULT '',
    UNIQUE (source, transaction_uid)
);

CREATE INDEX source_commitment_requests_due ON source_commitment_requests (next_attempt_at) WHERE state = 'pending';

COMMENT ON TABLE source_commitment_requests IS 'Storage commitment requests of sources to the node, and the reports on them';
COMMENT ON COLUMN source_commitment_requests.id IS 'Number of the request';
COMMENT ON COLUMN source_commitment_requests.source IS 'Calling AE title of the source';
COMMENT ON COLUMN source_commitment_requests.transaction_uid IS 'Transaction UID (0008,1195)';
COMMENT ON COLUMN source_commitment_requests.sop_class_uids IS 'SOP Class UIDs of the instances that it lists';
COMMENT ON COLUMN source_commitment_requests.sop_instance_uids IS 'Their SOP Instance UIDs, in the same order';
COMMENT ON COLUMN source_commitment_requests.state IS 'pending: the report is to be sent. answered: it was sent. failed: it could not be sent';
COMMENT ON COLUMN source_commitment_requests.attempts IS 'Attempts to send the report';
COMMENT ON COLUMN source_commitment_requests.next_attempt_at IS 'The report is not sent before this time';
COMMENT ON COLUMN source_commitment_requests.received_at IS 'When the request was received';
COMMENT ON COLUMN source_commitment_requests.answered_at IS 'When the report was sent, or failed';
COMMENT ON COLUMN source_commitment_requests.held IS 'Number of the listed instances that the node commits to';
COMMENT ON COLUMN source_commitment_requests.note IS 'Why the report could not be sent';
