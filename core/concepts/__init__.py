"""Coded concepts that the project writes, and the precision of measured values."""
