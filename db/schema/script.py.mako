"""${message}"""

from db.schema.upgrade import sql_upgrade

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
upgrade = sql_upgrade()
