"""Choose the trial that runs next, and keep what is told of those that ended."""
