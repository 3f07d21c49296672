"""Tokens for the API."""

from db.schema.upgrade import sql_upgrade

revision = "0006"
down_revision = "0005"
upgrade = sql_upgrade("api_tokens")
