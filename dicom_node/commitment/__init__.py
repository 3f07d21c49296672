"""Storage commitment (PS3.4 Annex J, push model), both roles: what we ask of destinations, and what sources ask of us."""
