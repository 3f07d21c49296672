"""The operations page: what needs a person, and the actions on it."""
