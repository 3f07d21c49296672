"""Users who sign in by OpenID Connect."""

from db.schema.upgrade import sql_upgrade

revision = "0010"
down_revision = "0009"
upgrade = sql_upgrade("oidc")
