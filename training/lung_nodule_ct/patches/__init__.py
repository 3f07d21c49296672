"""Training patches and examples, and their random variation."""
