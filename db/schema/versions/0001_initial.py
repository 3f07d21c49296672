"""The first released schema: the SQL files of `db.schema`. Views are not part of any revision."""

from db.schema import INITIAL
from db.schema.upgrade import sql_upgrade

revision = "0001"
down_revision = None
upgrade = sql_upgrade(*INITIAL)
