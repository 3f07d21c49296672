"""The node on one machine: supervisor, child processes and embedded servers."""
