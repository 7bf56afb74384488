"""The move of the parameters: many tensors as one, written over from step to step, compiled or not."""
