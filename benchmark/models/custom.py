"""Models of your own: `MODULE:FUNCTION`, where the function returns the network, or the network and its transform.

Torch half. The module is imported as Python does, from the current folder or what is installed; the function gets
`--model-kwargs` and returns a network with trained weights that gives (n, 1000) logits in ImageNet's order:

    def model(width=1.0):
        return network, transform  # transform: a PIL image (RGB) to (3, height, width) float32

A network of timm may come alone: its transform is that of its config, and its head is mapped as any of timm's.
"""

import difflib
import importlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from benchmark.models import weights
from benchmark.models.classifier import Classifier, ready
from benchmark.models.timm_models import as_classifier
from d3s_dataset.errors import ModelError, did_you_mean, one_line

_EXPECTED = "expected a torch.nn.Module of timm, or (torch.nn.Module, transform)"


def check(name: str, pretrained: bool) -> None:
    """Raise ModelError for a module that cannot be imported or lacks the function. Imports the module."""
    _function(name)


def load(name: str, checkpoint: Path | None, kwargs: dict[str, Any]) -> Classifier:
    """Call the function and take what it returns.

    Args:
        name: `MODULE:FUNCTION`.
        checkpoint: a file of weights to put into the network, or None.
        kwargs: arguments of the function.

    Raises:
        ModelError: the function does not take the arguments or returns something else.
        CheckpointError: a weights file that is missing, unsafe, or of another architecture.
    """
    network, transform = _call(name, kwargs)
    left_out = weights.load_into(network, weights.read(checkpoint), checkpoint, name) if checkpoint else ()
    return replace(from_network(name, network, transform, kwargs), left_out=left_out)


def from_network(
    name: str, network: nn.Module, transform: Callable[..., Any] | None, kwargs: dict[str, Any]
) -> Classifier:
    """Return a network as a classifier.

    Args:
        name: what results call it.
        network: it is put into evaluation mode, and its weights take no gradient.
        transform: a PIL image (RGB) to (3, height, width) float32; None for a network of timm, whose config has it.
        kwargs: the arguments that it was made with, for the record.

    Raises:
        ModelError: neither a transform nor a network of timm; a head that is not of the 1000 classes.
    """
    if transform is None:
        if not getattr(network, "pretrained_cfg", None):
            raise ModelError(f"{name} is a {type(network).__name__} without its transform: {_EXPECTED}")
        return as_classifier(name, network, kwargs, tag=None)
    return Classifier(
        name=name,
        architecture=type(network).__name__,
        tag=None,
        kwargs=kwargs,
        digest=weights.digest(network),
        network=ready(network),
        transform=transform,
        preprocessing={"transform": getattr(transform, "__qualname__", None) or repr(transform)},
    )


def _function(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    try:
        found = importlib.import_module(module)
    except (ImportError, SyntaxError) as error:
        raise ModelError(f"{name}: the module {module} cannot be imported: {one_line(error)}") from None
    if not callable(getattr(found, function, None)):
        near = difflib.get_close_matches(function, [each for each in vars(found) if callable(vars(found)[each])])
        raise ModelError(f"{name}: {module} has no function {function!r}{did_you_mean(near)}")
    return getattr(found, function)


def _call(name: str, kwargs: dict[str, Any]) -> tuple[nn.Module, Callable[..., Any] | None]:
    try:
        answer = _function(name)(**kwargs)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise ModelError(f"{name} does not take these --model-kwargs: {one_line(error)}") from None
    match answer:
        case (nn.Module() as network, transform) if callable(transform):
            return network, transform
        case nn.Module():
            return answer, None
    raise ModelError(f"{name} returned a {type(answer).__name__}: {_EXPECTED}")
