"""Listings: rows of one kind for people and programs. Read by commands without SQLAlchemy, whose import takes longer than the listing."""
