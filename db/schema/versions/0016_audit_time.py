"""The time of audit events comes from a function that the node does not own."""

from db.schema.upgrade import sql_upgrade

revision = "0016"
down_revision = "0015"
upgrade = sql_upgrade("audit_time")
