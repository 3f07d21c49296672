"""The function that links audit events, with the rights of the owner of the audit trail."""

from db.schema.upgrade import sql_upgrade

revision = "0012"
down_revision = "0011"
upgrade = sql_upgrade("audit_link")
