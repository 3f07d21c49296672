"""Units of analysis: completion, routing into jobs, and instances with conflicting content."""
