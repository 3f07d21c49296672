"""Metrics of held-out images."""
