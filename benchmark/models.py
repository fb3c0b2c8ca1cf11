"""Models: any timm name, `hf-hub:ORG/NAME`, `local-dir:PATH`, or a timm name with the weights of `--checkpoint`.

Torch half. A model comes with trained weights or not at all: nothing here leaves a weight random.
"""

import difflib
import urllib.error
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from PIL.Image import Image
from safetensors import SafetensorError
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform
from torch import nn

from benchmark import weights
from d3s_dataset.errors import CheckpointError, ModelError, one_line
from d3s_dataset.hub import cache_only_where_unreachable, unreachable
from d3s_dataset.taxonomy import classes

_NEAR = 3
# They change the head or the stem, for which trained weights then do not exist.
# They say where weights come from, which `load` decides.
_OURS = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir")
_OWN_ARGUMENTS = ("num_classes", "in_chans")


@dataclass(frozen=True, eq=False)
class Classifier:
    """A network over the 1000 ImageNet classes with its weights, and its own way to prepare an image.

    Attributes:
        name: as typed.
        architecture: timm's name of the network.
        tag: timm's tag of the pretrained weights (`convnext_base.fb_in22k_ft_in1k`); None for other weights.
        kwargs: model arguments as typed.
        digest: SHA-256 of the weights.
        network: in evaluation mode; (n, 3, height, width) float to (n, 1000) logits.
        transform: a PIL image to (3, height, width) float32, exactly the model's own.
        preprocessing: the transform's settings as JSON.
    """

    name: str
    architecture: str
    tag: str | None
    kwargs: dict[str, Any]
    digest: str
    network: nn.Module
    transform: Callable[[Image], torch.Tensor]
    preprocessing: dict[str, Any]


def load(name: str, checkpoint: Path | None = None, kwargs: dict[str, Any] | None = None) -> Classifier:
    """Load a model with its weights.

    Args:
        name: a timm name, `hf-hub:ORG/NAME` or `local-dir:PATH`.
        checkpoint: a file of weights in place of the pretrained ones.
        kwargs: arguments of the model, such as `pad_type`.

    Raises:
        ModelError: unknown, weights out of reach, another number of classes, or arguments it does not take.
        CheckpointError: a weights file that is missing, unsafe, or of another architecture.
    """
    kwargs = dict(kwargs or {})
    for each in _OURS:
        if each in kwargs:
            raise ModelError(f"--model-kwargs {each}: which weights are loaded is not a model's argument")
    check(name, pretrained=checkpoint is None)
    if checkpoint is None:
        network = _pretrained(name, kwargs)
    else:
        found = weights.read(checkpoint)
        network = _create(name, kwargs, pretrained=False)
        weights.load_into(network, found, checkpoint, name)
    _check_classes(name, getattr(network, "num_classes", 0))
    config: dict[str, Any] = resolve_model_data_config(network)
    return Classifier(
        name=name,
        architecture=str(_config(network).get("architecture")),
        tag=_tag(network) if checkpoint is None else None,
        kwargs=kwargs,
        digest=weights.digest(network),
        network=network.eval().requires_grad_(False),
        transform=create_transform(**config, is_training=False),  # pyright: ignore[reportArgumentType] - a Compose
        preprocessing=config,
    )


def check(name: str, *, pretrained: bool) -> None:
    """Raise ModelError, with near matches, for a name that cannot be a model; reads nothing from a network."""
    source, _, place = name.partition(":")
    if not place:
        _check_registered(name, pretrained)
    elif source == "local-dir":
        if not (Path(place) / "config.json").is_file():
            raise ModelError(f"no model at {name}: expected a folder with config.json and model.safetensors")
    elif source != "hf-hub":
        raise ModelError(f"unknown model {name!r}: expected a timm name, hf-hub:ORG/NAME or local-dir:PATH")


def _check_registered(name: str, pretrained: bool) -> None:
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), n=_NEAR)
        raise ModelError(f"unknown model {name!r}{_perhaps(near)}; timm.list_models() lists all")
    tagged = timm.list_pretrained(architecture)
    if tag and name not in tagged:
        near = difflib.get_close_matches(name, tagged, n=_NEAR, cutoff=0) or tagged[:_NEAR]
        raise ModelError(f"unknown model {name!r}: {architecture} has no weights tagged {tag!r}{_perhaps(near)}")
    if not pretrained:
        return
    if not tagged:
        raise ModelError(f"timm has no trained weights for {name!r}: expected --checkpoint FILE, or another model")
    _check_classes(name, timm.get_pretrained_cfg(name).num_classes)  # pyright: ignore[reportOptionalMemberAccess]


def _perhaps(near: list[str]) -> str:
    return f"; did you mean {', '.join(near)}?" if near else ""


def _check_classes(name: str, count: int) -> None:
    if count != len(classes()):
        raise ModelError(f"{name} tells {count} classes apart: expected the {len(classes())} of ImageNet-1k")


def _pretrained(name: str, kwargs: dict[str, Any]) -> nn.Module:
    """Create a model with its pretrained weights, in seconds also where there is no network and no cached copy."""
    for each in _OWN_ARGUMENTS:
        if each in kwargs:
            raise ModelError(f"{each} cannot be set for the pretrained weights of {name}: pass --checkpoint FILE too")
    if name.startswith("local-dir:"):
        return _create(name, kwargs, pretrained=True)
    with cache_only_where_unreachable():
        return _create(name, kwargs, pretrained=True)


def _create(name: str, kwargs: dict[str, Any], *, pretrained: bool) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=pretrained, **kwargs)
    except LocalEntryNotFoundError:
        raise ModelError(unreachable(f"the weights of {name}", "--checkpoint FILE")) from None
    except (HfHubHTTPError, HFValidationError, urllib.error.URLError) as error:
        raise ModelError(f"the weights of {name} cannot be had: {one_line(error)}") from None
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        raise ModelError(f"{name} does not take these --model-kwargs: {one_line(error)}") from None
    except (SafetensorError, RuntimeError, ValueError, KeyError, OSError, AssertionError) as error:
        kind = CheckpointError if name.startswith("local-dir:") else ModelError
        raise kind(f"{name} cannot be loaded: {one_line(error)}") from None


def _config(network: nn.Module) -> dict[str, Any]:
    return dict(getattr(network, "pretrained_cfg", None) or {})


def _tag(network: nn.Module) -> str | None:
    config = _config(network)
    return f"{config['architecture']}.{config['tag']}" if config.get("tag") else None
