"""The counter of delivery attempts has their name."""

from db.schema.upgrade import sql_upgrade

revision = "0031"
down_revision = "0030"
upgrade = sql_upgrade("delivery_attempt_counts")
