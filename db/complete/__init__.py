"""Units of analysis: completion, jobs of complete units, and instances with conflicting content."""
