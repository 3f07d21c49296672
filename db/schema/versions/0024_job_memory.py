"""The memory of the worker's process while a job was analysed."""

from db.schema.upgrade import sql_upgrade

revision = "0024"
down_revision = "0023"

upgrade = sql_upgrade("job_memory")
