"""The processes of the node: heartbeats, commands and leases of processes that died."""
