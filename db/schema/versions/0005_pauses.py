"""Routes and destinations that a person has paused."""

from db.schema.upgrade import sql_upgrade

revision = "0005"
down_revision = "0004"
upgrade = sql_upgrade("pauses")
