"""Execution: scheduling of batches on this machine's cores and GPUs or on a Ray cluster, signals, progress."""
