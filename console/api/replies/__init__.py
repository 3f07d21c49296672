"""What the API returns: resources, pages of a list, and errors."""
