"""Limits on what one instance may cost to read, and how they are put into pydicom."""
