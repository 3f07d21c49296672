"""The container images: their Dockerfiles, and what the builds run in them."""
