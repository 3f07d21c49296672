"""Erasures of all data of one person, and the indexes with which rows are deleted in little time."""

from db.schema.upgrade import sql_upgrade

revision = "0028"
down_revision = "0027"
upgrade = sql_upgrade("erasures")
