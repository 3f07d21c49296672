"""Users who sign in by OpenID Connect."""

from alembic import op

from db.schema import read_sql
from db.schema.upgrade import execute_script

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns of `oidc.sql`."""
    execute_script(op.get_bind(), read_sql("oidc"))
