"""Training and measurement of ``dermoscopy_7class``."""
