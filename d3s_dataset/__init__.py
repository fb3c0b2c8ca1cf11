"""D3S, the dataset: labels, columns, files, loading and checks.

Nothing here imports torch, timm or diffusers. Usage::

    from d3s_dataset import load
    validation = load("d3s", split="validation")

`CLASSES` reads a file and `D3S` imports datasets, so both are loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from d3s_dataset.errors import D3SError
from d3s_dataset.load import load  # a function that hides its module of the same name, so bound here, once and early
from d3s_dataset.taxonomy import BACKGROUNDS, SUPERCLASSES

if TYPE_CHECKING:
    from d3s_dataset.builder import D3S
    from d3s_dataset.taxonomy import CLASSES

__all__ = ["BACKGROUNDS", "CLASSES", "D3S", "SUPERCLASSES", "D3SError", "load"]

_LATE = {"CLASSES": "d3s_dataset.taxonomy", "D3S": "d3s_dataset.builder"}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATE[name]), name)
