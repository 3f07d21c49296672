"""Headers of instances: identity, route values, scanner, and marks of our own objects."""
