"""The last anchor of the audit trail, for console and status page."""

from db.schema.upgrade import sql_upgrade

revision = "0015"
down_revision = "0014"
upgrade = sql_upgrade("audit_anchor")
