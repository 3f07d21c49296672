"""Accounts of the console: sessions, invitations, failed sign-ins, second factor."""

from db.schema.upgrade import sql_upgrade

revision = "0002"
down_revision = "0001"
upgrade = sql_upgrade("accounts")
