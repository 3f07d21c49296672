"""Commands on jobs, deliveries and results."""
