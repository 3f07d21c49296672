"""Qualitative evaluations of findings."""

from db.schema.upgrade import sql_upgrade

revision = "0014"
down_revision = "0013"
upgrade = sql_upgrade("finding_evaluations")
