"""Links with which a user signs in once."""

from db.schema.upgrade import sql_upgrade

revision = "0008"
down_revision = "0007"
upgrade = sql_upgrade("sign_in_links")
