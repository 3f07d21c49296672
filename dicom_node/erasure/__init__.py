"""Erasure of all data of one person: what the command line and the conductor share."""
