"""Synthetic images for the demo and for tests: no patient, known findings, the same for the same seed."""
