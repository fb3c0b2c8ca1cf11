"""Probes: readers of features, as a table; each chooses on held-out rows and says how its fit ended. Torch half."""

from benchmark.probing.probes.base import BETTER, calibrate, on_edge
from benchmark.probing.probes.knn import NEIGHBOURS
from benchmark.probing.probes.linear import L2, negligible
from benchmark.probing.probes.registry import KINDS, PROBES, Probe, Report, against_linear, check, fit

__all__ = [
    "BETTER", "KINDS", "L2", "NEIGHBOURS", "PROBES", "Probe", "Report", "against_linear", "calibrate", "check", "fit",
    "negligible", "on_edge",
]  # fmt: skip
