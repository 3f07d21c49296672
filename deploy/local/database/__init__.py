"""The database of a node on one machine: its roles, maintenance, backup and restore."""
