-- People who use the console: sign-in, sessions, invitations and failed sign-ins.

ALTER TABLE users
    ADD COLUMN totp_secret text NOT NULL DEFAULT '',
    ADD COLUMN totp_last_step bigint NOT NULL DEFAULT 0,
    ADD COLUMN password_changed_at timestamptz NOT NULL DEFAULT node_now();

COMMENT ON COLUMN users.totp_secret IS 'Secret of the second factor (RFC 6238), base32; empty where the user has none';
COMMENT ON COLUMN users.totp_last_step IS 'Time step of the last accepted code, so that no code is accepted twice';
COMMENT ON COLUMN users.password_changed_at IS 'When the password was set';

CREATE TABLE sessions (
    id bigserial PRIMARY KEY,
    user_id bigint NOT NULL REFERENCES users (id),
    token_sha256 text NOT NULL UNIQUE,
    form_token text NOT NULL,
    address text NOT NULL,
    user_agent text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT node_now(),
    confirmed_at timestamptz,
    last_seen_at timestamptz NOT NULL DEFAULT node_now(),
    ended_at timestamptz
);
CREATE INDEX sessions_open ON sessions (user_id) WHERE ended_at IS NULL;

COMMENT ON TABLE sessions IS 'Sessions of the console; the browser holds the token, the database its hash';
COMMENT ON COLUMN sessions.id IS 'Number of the session';
COMMENT ON COLUMN sessions.user_id IS 'Who signed in';
COMMENT ON COLUMN sessions.token_sha256 IS 'SHA-256 of the token in the cookie';
COMMENT ON COLUMN sessions.form_token IS 'Token that every form of the session repeats (protection against CSRF)';
COMMENT ON COLUMN sessions.address IS 'Address of the browser at sign-in';
COMMENT ON COLUMN sessions.user_agent IS 'What the browser calls itself';
COMMENT ON COLUMN sessions.created_at IS 'When the password was accepted';
COMMENT ON COLUMN sessions.confirmed_at IS 'When the second factor was accepted; at once where the user has none';
COMMENT ON COLUMN sessions.last_seen_at IS 'When it was used last; what pages read by themselves does not count';
COMMENT ON COLUMN sessions.ended_at IS 'When it was ended by sign-out, by a person or by a time limit';

CREATE TABLE invitations (
    id bigserial PRIMARY KEY,
    token_sha256 text NOT NULL UNIQUE,
    name text NOT NULL,
    role text NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT node_now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);

COMMENT ON TABLE invitations IS 'Links with which a person registers once, with a name and a role that somebody else has chosen';
COMMENT ON COLUMN invitations.id IS 'Number of the invitation';
COMMENT ON COLUMN invitations.token_sha256 IS 'SHA-256 of the token in the link';
COMMENT ON COLUMN invitations.name IS 'Sign-in name of the new user';
COMMENT ON COLUMN invitations.role IS 'Role of the new user';
COMMENT ON COLUMN invitations.created_by IS 'Who invited';
COMMENT ON COLUMN invitations.created_at IS 'When';
COMMENT ON COLUMN invitations.expires_at IS 'Until when the link is valid';
COMMENT ON COLUMN invitations.used_at IS 'When the person registered, or when a newer invitation replaced it';

CREATE TABLE sign_in_failures (
    id bigserial PRIMARY KEY,
    name_sha256 text NOT NULL,
    address text NOT NULL,
    at timestamptz NOT NULL DEFAULT node_now()
);
CREATE INDEX sign_in_failures_by_name ON sign_in_failures (name_sha256, at);
CREATE INDEX sign_in_failures_by_address ON sign_in_failures (address, at);

COMMENT ON TABLE sign_in_failures IS 'Failed sign-ins of the last day, for lock-out; names are hashed, because people type passwords into the wrong field';
COMMENT ON COLUMN sign_in_failures.id IS 'Number of the failure';
COMMENT ON COLUMN sign_in_failures.name_sha256 IS 'SHA-256 of the name as it was typed, in lower case';
COMMENT ON COLUMN sign_in_failures.address IS 'Address of the browser';
COMMENT ON COLUMN sign_in_failures.at IS 'When';
