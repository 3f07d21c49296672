-- Tokens with which programs use the API in the name of a user.

CREATE TABLE api_tokens (
    id bigserial PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users (id),
    name text NOT NULL,
    token_sha256 text NOT NULL UNIQUE,
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT node_now(),
    expires_at timestamptz NOT NULL,
    last_used_at timestamptz,
    refused_at timestamptz,
    revoked_at timestamptz
);
CREATE INDEX api_tokens_of_user ON api_tokens (user_id, id);

-- Lists in which a study was shown, for the access report of a patient and for the search by study.
CREATE INDEX audit_events_lists ON audit_events USING gin ((details -> 'studies')) WHERE subject = 'worklist';

COMMENT ON TABLE api_tokens IS 'Tokens with which programs use the API in the name of a user; the program holds the token, the database its hash';
COMMENT ON COLUMN api_tokens.id IS 'Number of the token';
COMMENT ON COLUMN api_tokens.user_id IS 'User in whose name the program acts; the role of the user limits what the token may do';
COMMENT ON COLUMN api_tokens.name IS 'What the token is for, in the words of the user';
COMMENT ON COLUMN api_tokens.token_sha256 IS 'SHA-256 of the token';
COMMENT ON COLUMN api_tokens.scopes IS 'Parts of the API that the token opens';
COMMENT ON COLUMN api_tokens.created_by IS 'Who made it';
COMMENT ON COLUMN api_tokens.created_at IS 'When';
COMMENT ON COLUMN api_tokens.expires_at IS 'Until when it is valid';
COMMENT ON COLUMN api_tokens.last_used_at IS 'Last request; written at most every 30 seconds';
COMMENT ON COLUMN api_tokens.refused_at IS 'Last audit event about a request with the token after it was no longer valid; at most one an hour';
COMMENT ON COLUMN api_tokens.revoked_at IS 'When it was revoked';
