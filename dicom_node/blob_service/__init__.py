"""Serves the blobs of this node to workers on other machines."""
