"""The views anew: `v_findings` has columns for the margin of a nodule and for its suspicion."""

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Change no table: every upgrade to another revision creates the views anew."""
