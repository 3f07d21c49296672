"""The first released schema: the SQL files of `db.schema`. Views are not part of any revision."""

from alembic import op

from db.schema import INITIAL, read_sql
from db.schema.upgrade import execute_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create every table, index, trigger and function."""
    for name in INITIAL:
        execute_script(op.get_bind(), read_sql(name))
