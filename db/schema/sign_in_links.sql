-- Links with which a user signs in once without a password.

CREATE TABLE sign_in_links (
    id bigserial PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users (id),
    token_sha256 text NOT NULL UNIQUE,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT node_now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);

COMMENT ON TABLE sign_in_links IS 'Links with which a user signs in once without a password, made on the command line of the node';
COMMENT ON COLUMN sign_in_links.id IS 'Number of the link';
COMMENT ON COLUMN sign_in_links.user_id IS 'Who signs in';
COMMENT ON COLUMN sign_in_links.token_sha256 IS 'SHA-256 of the token in the link';
COMMENT ON COLUMN sign_in_links.created_by IS 'Who made it';
COMMENT ON COLUMN sign_in_links.created_at IS 'When';
COMMENT ON COLUMN sign_in_links.expires_at IS 'Until when it is valid';
COMMENT ON COLUMN sign_in_links.used_at IS 'When it was used, or when a newer link replaced it';
