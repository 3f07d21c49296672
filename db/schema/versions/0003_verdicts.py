"""Verdicts of clinicians, releases of held results, and assessments."""

from db.schema.upgrade import sql_upgrade

revision = "0003"
down_revision = "0002"
upgrade = sql_upgrade("verdicts")
