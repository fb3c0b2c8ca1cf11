"""Stable file formats as types: predictions, metrics, results, experiments, and their identity. No torch."""
