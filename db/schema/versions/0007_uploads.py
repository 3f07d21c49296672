"""Uploads of the console."""

from db.schema.upgrade import sql_upgrade

revision = "0007"
down_revision = "0006"
upgrade = sql_upgrade("uploads")
