"""Audit events by month."""

from db.schema.upgrade import sql_upgrade

revision = "0018"
down_revision = "0017"
upgrade = sql_upgrade("audit_months")
