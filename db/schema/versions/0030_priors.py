"""The comparison with earlier results: the rule of a job, the results that were chosen for it, and what it says of a finding."""

from db.schema.upgrade import sql_upgrade

revision = "0030"
down_revision = "0029"
upgrade = sql_upgrade("priors")
