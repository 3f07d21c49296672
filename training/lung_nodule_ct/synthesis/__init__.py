"""Synthetic nodules and negatives, drawn into real series."""
