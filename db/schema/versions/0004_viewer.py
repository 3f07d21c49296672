"""Outlines and heat maps of results, for the viewer."""

from db.schema.upgrade import sql_upgrade

revision = "0004"
down_revision = "0003"
upgrade = sql_upgrade("viewer")
