"""Indexes with which everything of one person is found without reading whole tables."""

from db.schema.upgrade import sql_upgrade

revision = "0029"
down_revision = "0028"
upgrade = sql_upgrade("person_indexes")
