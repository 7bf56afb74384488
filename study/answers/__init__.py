"""From a table to answers: what each scheme cost to tune on each task, against a baseline."""
