"""The network that is trained: a timm model as it is, or with its pooled features cut in two and a head on each part.

Torch half.
"""

from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from timm.models import group_parameters
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.transforms.functional import to_tensor

from benchmark.models import packaged_weights, registry, training_record, weights
from benchmark.models.backbone import Headless, pooled
from benchmark.models.packaged import in_order_of
from benchmark.models.training_record import Partition
from benchmark.training.augment import moved
from d3s_dataset.errors import CheckpointError, ModelError, one_line
from d3s_dataset.taxonomy import classes

COLOURS = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}  # ImageNet's, as in most of timm
PAPER = Partition(foreground=1798, background=250)
HEAD = "background_head.safetensors"  # weight and bias of the linear head on the background part


def create(name: str, size: int, checkpoint: Path | None, kwargs: dict[str, Any] | None = None) -> nn.Module:
    """Return a timm network for images of `size` pixels with a head over the 1000 classes.

    Args:
        name: of timm.
        size: in pixels.
        checkpoint: weights to start from, also those that a package ships for the network; None for random ones.
        kwargs: arguments of the model, such as `pad_type`.

    Raises:
        ModelError: unknown model, or one that cannot be made for that size.
        CheckpointError: weights of another architecture.
    """
    if ":" in name:
        raise ModelError(f"expected a timm name to train, got {name!r}")
    registry.check(name, pretrained=False)
    view = {"input_size": (3, size, size), "crop_pct": 1.0, "interpolation": "bilinear", **COLOURS}
    other = {"tag": None, "test_input_size": None, "test_crop_pct": None, "num_classes": len(classes())}
    overlay = {**view, **other, "label_offset": None}
    try:
        network = timm.create_model(name, num_classes=len(classes()), pretrained_cfg_overlay=overlay, **(kwargs or {}))
    except (RuntimeError, ValueError, AssertionError, TypeError) as error:
        raise ModelError(f"{name} cannot be made for {size} pixels: {one_line(error)}") from None
    if checkpoint:
        found = weights.read(checkpoint)
        if checkpoint == packaged_weights.file_of(f"{packaged_weights.PREFIX}:{name}"):
            found = in_order_of(network.state_dict(), found, checkpoint, name)
        weights.load_into(network, found, checkpoint, name)
    return network


def divide(name: str, network: nn.Module, size: int, foreground: int | None) -> Partition:
    """Return how a network's pooled features are split: the first `foreground`, or the paper's share of them.

    Raises:
        ModelError: it has no pooled features or no linear classifier on them, or no feature would be left.
    """
    width = _width(name, network, size)
    first = round(width * PAPER.foreground / PAPER.size) if foreground is None else foreground
    if not 0 < first < width:
        raise ModelError(f"{name} has {width} pooled features: expected --foreground-features below that, got {first}")
    return Partition(foreground=first, background=width - first)


def check_checkpoint(checkpoint: Path, wanted: Partition) -> None:
    """Raise CheckpointError if a checkpoint is in a model's folder that records another split."""
    found = training_record.read(checkpoint.parent)
    if found is not None and found != wanted:
        raise CheckpointError(
            f"{checkpoint} was trained with {found.foreground} of {found.size} features for the foreground, this asks "
            f"for {wanted.foreground} of {wanted.size}: type --foreground-features {found.foreground}"
        )


def normalise(views: torch.Tensor) -> torch.Tensor:
    """Return (n, 3, h, w) images in [0, 1] as the networks made here take them."""
    mean, std = (moved(torch.tensor(COLOURS[name]), views.device).view(3, 1, 1) for name in ("mean", "std"))
    return (views - mean) / std


class Whole(nn.Module):
    """A network whose logits are all that is trained on."""

    partition = None

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.encoder = network

    @property
    def network(self) -> nn.Module:
        """The network of timm."""
        return self.encoder

    def heads(self, encoded: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Return the logits, which are what was encoded."""
        return encoded, None

    def own(self) -> list[nn.Parameter]:
        """Return the parameters other than the network's."""
        return []

    def save(self, folder: Path) -> None:
        """Write the files that belong with the network."""


class Parts(nn.Module):
    """A network whose pooled features are cut: its classifier sees the foreground part, a new head the rest.

    The classifier stays over all features, with zeros on the background part, so that the network is one of timm's.

    Args:
        network: of timm, checked by `divide`.
        divided: how its features are split.
        backgrounds: how many background labels there are.
        checkpoint: a file of weights; a background head next to it is loaded too.
    """

    def __init__(
        self, network: nn.Module, divided: Partition, backgrounds: int, checkpoint: Path | None = None
    ) -> None:
        super().__init__()
        self.encoder = Headless(network)
        self.partition = divided
        self.background = nn.Linear(divided.background, backgrounds)
        with torch.no_grad():
            _classifier(network).weight[:, divided.columns("background")] = 0
        if checkpoint and (head := checkpoint.parent / HEAD).is_file():
            weights.load_into(self.background, weights.read(head), head, "this release's background head")

    @property
    def network(self) -> nn.Module:
        """The network of timm."""
        return self.encoder.network

    def heads(self, encoded: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the foreground and background logits of (n, features)."""
        foreground_features, background_features = (
            encoded[:, self.partition.columns(part)] for part in ("foreground", "background")
        )
        linear = _classifier(self.network)
        return functional.linear(
            foreground_features, linear.weight[:, : foreground_features.shape[1]], linear.bias
        ), self.background(background_features)

    def own(self) -> list[nn.Parameter]:
        """Return the background head's parameters."""
        return list(self.background.parameters())

    def save(self, folder: Path) -> None:
        """Write the split and the background head into a model's folder."""
        training_record.write(folder, self.partition)
        state = {key: value.detach().cpu().contiguous() for key, value in self.background.state_dict().items()}
        save_file(state, folder / HEAD)


def damped(encoded: torch.Tensor, divided: Partition | None, gradient: float) -> torch.Tensor:
    """Return (n, features) as they are, whose background part passes on that share of its gradient.

    Adam's steps do not depend on the scale of a gradient, so weights that only the background part uses still learn at
    their rate; layers that both parts share follow the foreground part.
    """
    if divided is None or gradient == 1:
        return encoded
    foreground, background = (encoded[:, divided.columns(part)] for part in ("foreground", "background"))
    still = background.detach()
    return torch.cat([foreground, still + gradient * (background - still)], 1)


def freeze(name: str, network: nn.Module, stages: int) -> None:
    """Let the stem and the stages after it, `stages` in all, keep their weights and statistics.

    Raises:
        ModelError: the network has no stages that timm knows, or no more than that.
    """
    if not stages:
        return
    if not hasattr(network, "group_matcher"):
        raise ModelError(f"{name} has no stages that timm knows: leave --freeze out")
    model: Any = network
    groups = group_parameters(model, model.group_matcher(coarse=True))
    last = max(groups)  # the classifier's, which is always trained
    if stages >= last:
        raise ModelError(f"{name} has {last} stages with its stem: expected --freeze below that, got {stages}")
    parameters = dict(network.named_parameters())
    for group in range(stages):
        for each in groups.get(group, ()):
            parameters[each].requires_grad_(False)


def keep_statistics(network: nn.Module, *, every: bool) -> None:
    """Let batch norms use the running statistics that they have, which no step then changes.

    Args:
        network: in training mode.
        every: all of them; else those whose weights are not trained.
    """
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            trained = [each.requires_grad for each in module.parameters()] or [True]
            if every or not any(trained):
                module.eval()


def _classifier(network: nn.Module) -> nn.Linear:
    return network.get_classifier()  # pyright: ignore[reportCallIssue, reportReturnType] - checked by `divide`


def _width(name: str, network: nn.Module, size: int) -> int:
    """Return how many pooled features a network's linear classifier reads."""
    training = network.training
    found = pooled(name, network.eval(), lambda image: to_tensor(image.resize((size, size))))
    network.train(training)
    linear = network.get_classifier() if len(found.bias) else None  # pyright: ignore[reportCallIssue] - has a head
    if not isinstance(linear, nn.Linear):
        raise ModelError(f"{name} has no linear classifier on its pooled features, which could be split: take another")
    return linear.in_features
