"""Probing of features: folds by photos, probes, leakage, erasure, the trade-off over lambda."""
