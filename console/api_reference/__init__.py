"""The page that describes the API for people."""
