"""Erasers, which remove a label from frozen features, and the table of them. No torch before `fit`."""

from benchmark.erasers.registry import ERASERS, FEWEST, Eraser, fit

__all__ = ["ERASERS", "FEWEST", "Eraser", "fit"]
