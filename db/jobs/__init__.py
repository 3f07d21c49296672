"""Jobs: leases, attempts, results and the outbox of wake-ups."""
