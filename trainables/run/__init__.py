"""One training by our own loop, resumable at any step, and what it measures on its way."""
