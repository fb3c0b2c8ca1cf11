"""One training from a split to a model's folder: network, batches, loop, checkpoints, objectives."""
