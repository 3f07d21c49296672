"""Deliveries that a person had sent again."""

from db.schema.upgrade import sql_upgrade

revision = "0011"
down_revision = "0010"
upgrade = sql_upgrade("resends")
