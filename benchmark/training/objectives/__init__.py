"""Objectives: what a training adds to cross-entropy, as a table of penalties and their recipes. No torch before use."""

from benchmark.training.objectives.registry import OBJECTIVES, Objective

__all__ = ["OBJECTIVES", "Objective"]
