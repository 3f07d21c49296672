"""Associations and their bytes: the server, its processes, what comes in, and the leases on it."""
