"""Searches of images for what routes depend on, in child processes with limits."""
