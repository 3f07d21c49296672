"""The views anew: `v_findings` has columns for the evaluations of a finding."""

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Change no table: every upgrade to another revision creates the views anew."""
