"""Deliveries: one result object to one destination, claimed under a lease."""
