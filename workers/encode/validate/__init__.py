"""The validator that checks every result object before it is stored."""
