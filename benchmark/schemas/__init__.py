"""What other tools may rely on, as types: predictions, metrics, results, experiments, and their identity. No torch."""
