"""Commands on the peers that receive results: destinations, and their commitment reports."""
