"""The first schema."""

from alembic import op

from db import views
from db.migrations.initial import STATEMENTS

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    for statement in (*STATEMENTS, *views.CREATE):
        op.execute(statement)
