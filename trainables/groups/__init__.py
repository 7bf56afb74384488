"""The parameter groups of a torch optimizer: the numbers of each, its state by parameter, its memory between steps."""
