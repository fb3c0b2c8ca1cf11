"""Minimisers of scipy."""

from collections.abc import Callable
from typing import Any

import numpy as np

class OptimizeResult:
    x: Any
    fun: Any
    success: bool
    message: str
    nit: int

def minimize(fun: Callable[..., Any], x0: np.ndarray, **options: Any) -> OptimizeResult: ...
def minimize_scalar(fun: Callable[..., Any], **options: Any) -> OptimizeResult: ...
