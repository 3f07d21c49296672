"""Indexes for the pages of the console, and the text that the worklist searches."""

from db.schema.upgrade import sql_upgrade

revision = "0013"
down_revision = "0012"
upgrade = sql_upgrade("console_speed")
