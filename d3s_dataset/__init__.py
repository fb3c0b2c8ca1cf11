"""D3S, the dataset: labels, columns, files, loading and checks.

Nothing here imports torch, timm or diffusers. Usage::

    from d3s_dataset import load
    validation = load("d3s", split="validation")

All names are imported on first use, so that importing the package costs nothing.
"""

from typing import TYPE_CHECKING

from d3s_dataset.utils.late import late_names

if TYPE_CHECKING:
    from d3s_dataset.builder import D3S
    from d3s_dataset.errors import D3SError
    from d3s_dataset.load import load
    from d3s_dataset.taxonomy import BACKGROUNDS, CLASSES, SUPERCLASSES

__all__ = ["BACKGROUNDS", "CLASSES", "D3S", "SUPERCLASSES", "D3SError", "load"]

late_names(
    __name__,
    {
        **dict.fromkeys(["BACKGROUNDS", "CLASSES", "SUPERCLASSES"], "d3s_dataset.taxonomy"),
        "D3S": "d3s_dataset.builder",
        "D3SError": "d3s_dataset.errors",
        "load": "d3s_dataset.load",
    },
)
