"""The common form of models of every source: a network over the 1000 classes with its own transform.

Torch half.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from PIL.Image import Image
from torch import nn


@dataclass(frozen=True, eq=False)
class Classifier:
    """A network over the 1000 ImageNet classes with its weights, and its own way to prepare an image.

    Attributes:
        name: as typed.
        architecture: the network's name in its library.
        tag: timm's tag of the pretrained weights (`convnext_base.fb_in22k_ft_in1k`); None for other weights.
        kwargs: model arguments as typed.
        digest: SHA-256 of the weights.
        network: in evaluation mode; (n, 3, height, width) float to (n, 1000) logits.
        transform: a PIL image to (3, height, width) float32, exactly the model's own.
        preprocessing: the transform's settings as JSON.
        left_out: auxiliary heads in its file of weights that it has not.
    """

    name: str
    architecture: str
    tag: str | None
    kwargs: dict[str, Any]
    digest: str
    network: nn.Module
    transform: Callable[[Image], torch.Tensor]
    preprocessing: dict[str, Any]
    left_out: tuple[str, ...] = ()


def ready(network: nn.Module) -> nn.Module:
    """Return a network in evaluation mode whose weights take no gradient."""
    return network.eval().requires_grad_(False)
