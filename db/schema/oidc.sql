-- Users who sign in by OpenID Connect.

ALTER TABLE users
    ADD COLUMN oidc_issuer text NOT NULL DEFAULT '',
    ADD COLUMN oidc_subject text NOT NULL DEFAULT '';
CREATE UNIQUE INDEX users_of_provider ON users (oidc_issuer, oidc_subject) WHERE oidc_subject <> '';

COMMENT ON COLUMN users.oidc_issuer IS 'Provider with which the user signs in; empty for users with a password of the console';
COMMENT ON COLUMN users.oidc_subject IS 'Number or name of the user at this provider (claim sub)';
