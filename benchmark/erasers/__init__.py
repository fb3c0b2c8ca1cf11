"""Erasers, which remove a label from frozen features, and the table of them. No torch before `fit`."""

from benchmark.erasers.registry import ERASERS, FEWEST, UNLABELLED, Eraser, check, fit, options_of

__all__ = ["ERASERS", "FEWEST", "UNLABELLED", "Eraser", "check", "fit", "options_of"]
