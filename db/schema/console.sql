-- What the console keeps for its users.

CREATE TABLE saved_views (
    id bigserial PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users,
    name text NOT NULL,
    query text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT node_now(),
    UNIQUE (user_id, name)
);

COMMENT ON TABLE saved_views IS 'Views of the worklist that a user has saved under a name';
COMMENT ON COLUMN saved_views.id IS 'Number of the view';
COMMENT ON COLUMN saved_views.user_id IS 'Whose view it is';
COMMENT ON COLUMN saved_views.name IS 'Name that the user gave it';
COMMENT ON COLUMN saved_views.query IS 'Filters, as the query of the address';
COMMENT ON COLUMN saved_views.created_at IS 'When it was saved';

-- Refused association requests, for the operations page.
CREATE INDEX audit_events_refusals ON audit_events (id) WHERE action IN ('association.refused', 'association.deferred');
