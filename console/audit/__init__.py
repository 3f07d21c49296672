"""The audit page: search, proof of the chain, export, and the access report of one patient."""
