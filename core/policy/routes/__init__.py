"""Routes: the language of their conditions, which units and series they take, and why none took a unit."""
