"""The views anew: `v_findings` has columns for the evaluations of a finding."""

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Change no table: every upgrade to another revision creates the views anew."""
