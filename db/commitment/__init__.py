"""Storage commitment (PS3.4 Annex J): what sources request of the node, and what the node requests of destinations."""
