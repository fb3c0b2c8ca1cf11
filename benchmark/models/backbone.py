"""A network up to its pooled features, and the head that it puts on them.

Torch half. Pooled features are what timm's `forward_head(..., pre_logits=True)` gives.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from benchmark.models.heads import Columns
from d3s_dataset.errors import ModelError

_SAME = 1e-3  # of the largest logit: how far a linear head may be from the model's own output on a random image
_SIDE = 64  # of the picture it is tried on


class Headless(nn.Module):
    """A network without its head: images to (n, `outputs`) pooled features.

    `weight` (k, outputs) and `bias` (k,) are its head over the 1000 classes; both empty where that is not linear.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.outputs = 0
        self.weight, self.bias = np.zeros((0, 0), np.float32), np.zeros(0, np.float32)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the pooled features."""
        network: Any = self.network
        return network.forward_head(network.forward_features(images), pre_logits=True)


def pooled(name: str, network: nn.Module, transform: Callable[[Image.Image], torch.Tensor]) -> Headless:
    """Return a network without its head, tried on a picture of noise.

    Raises:
        ModelError: it has no pooled features, or gives logits that are not finite.
    """
    inner: Any = network.network if isinstance(network, Columns) else network
    if not hasattr(inner, "forward_features") or not hasattr(inner, "forward_head"):
        raise ModelError(
            f"{name} has no pooled features: expected a model of timm, with forward_features and forward_head"
        )
    answer = Headless(inner)
    noise = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3)).astype(np.uint8)
    with torch.inference_mode():
        image = transform(Image.fromarray(noise))[None]
        features, logits = answer(image), network(image)
        if features.ndim != 2:
            raise ModelError(
                f"{name} has no pooled features: got shape {tuple(features.shape)}, expected (1, features)"
            )
        if not logits.isfinite().all():
            raise ModelError(f"{name} gives logits that are not finite: expected weights without NaN or infinity")
        answer.outputs = features.shape[1]
        head = _linear(inner)
        if head is None or head[0].shape[1] != answer.outputs:
            return answer
        order: Any = network.wanted if isinstance(network, Columns) else slice(None)
        weight, bias = head[0][order], head[1][order]
        made = features @ weight.T + bias
        if made.shape == logits.shape and float((made - logits).abs().max()) <= _SAME * float(logits.abs().max()):
            answer.weight, answer.bias = weight.numpy().copy(), bias.numpy().copy()
    return answer


def _linear(network: Any) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return weight and bias of a linear classifier, also where it is written as a 1 x 1 convolution."""
    layer = network.get_classifier() if hasattr(network, "get_classifier") else None
    if (isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)) or isinstance(layer, nn.Linear):
        weight = layer.weight.detach().flatten(1)
        return weight, torch.zeros(len(weight)) if layer.bias is None else layer.bias.detach()
    return None
