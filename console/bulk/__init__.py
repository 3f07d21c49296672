"""Pages on which an operator selects many rows, sees what would be done with them, and asks for it."""
