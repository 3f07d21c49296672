"""Jobs: queued, claimed under a lease, finished, and handled by an operator."""
