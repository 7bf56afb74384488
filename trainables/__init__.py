"""One trial: a task, a rule that turns gradients into steps, and the loop that joins them."""
