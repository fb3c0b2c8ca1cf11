"""Probes: readers of features; each chooses hyperparameters on held-out rows and reports convergence. Torch half."""

from benchmark.probing.probes.base import BETTER, calibrate, on_edge
from benchmark.probing.probes.fitting import Probe, Refitter, Report, against_linear, check, fit
from benchmark.probing.probes.knn import NEIGHBOURS
from benchmark.probing.probes.linear import L2, negligible

__all__ = [
    "BETTER", "L2", "NEIGHBOURS", "Probe", "Refitter", "Report", "against_linear", "calibrate", "check", "fit",
    "negligible", "on_edge",
]  # fmt: skip
