"""Deliveries: one result object to one destination, sent under a lease."""
