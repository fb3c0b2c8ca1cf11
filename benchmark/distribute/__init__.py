"""Evaluation over several machines: parts of a SLURM array, or a Ray cluster. No torch until a model is run."""
