"""Saved views of the worklist, and an index of refused association requests."""

from db.schema.upgrade import sql_upgrade

revision = "0009"
down_revision = "0008"
upgrade = sql_upgrade("console")
