"""Received instances: their associations, admission and quarantine."""
