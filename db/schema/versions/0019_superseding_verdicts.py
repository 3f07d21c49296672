"""An index of the verdicts that supersede others."""

from db.schema.upgrade import sql_upgrade

revision = "0019"
down_revision = "0018"
upgrade = sql_upgrade("superseding_verdicts")
