"""From encoded data to a trained G: state, steps, average, loop, checkpoint."""
