"""Who makes which batch: workers on this machine's cores and GPUs or on a Ray cluster, signals, progress."""
