"""An index of the lists of units, jobs and deliveries that a person has seen."""

from db.schema.upgrade import sql_upgrade

revision = "0020"
down_revision = "0019"
upgrade = sql_upgrade("audit_lists")
