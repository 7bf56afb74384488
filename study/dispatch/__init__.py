"""Which trial runs next, and what is told of those that ended."""
