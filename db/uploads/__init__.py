"""Uploads of the console: files that arrive in pieces, and what the listener made of them."""
