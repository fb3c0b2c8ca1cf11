"""Models of timm: any of its names, `hf-hub:ORG/NAME`, `local-dir:FOLDER`, or one with the weights of `--checkpoint`.

Torch half. A model comes with trained weights or not at all: nothing here leaves a weight random.
"""

import difflib
import urllib.error
from dataclasses import replace
from pathlib import Path
from typing import Any

import timm
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform
from torch import nn

from benchmark.models import heads, weights
from benchmark.models.classifier import Classifier, ready
from d3s_dataset.errors import CheckpointError, ModelError, did_you_mean, one_line
from d3s_dataset.hub.offline import cache_only_where_unreachable, unreachable

_NEAR = 3
# They set the source of the weights, which `load` decides.
_OURS = ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir")
# They change the head or the stem, for which trained weights then do not exist.
_OWN_ARGUMENTS = ("num_classes", "in_chans")


def check(name: str, pretrained: bool) -> None:
    """Raise ModelError for a name that timm does not know, or a folder that is none; a repo is not requested."""
    if name.startswith("local-dir:"):
        _check_folder(name)
    elif ":" not in name:
        _check_registered(name, pretrained)


def load(name: str, checkpoint: Path | None, kwargs: dict[str, Any]) -> Classifier:
    """Load a model of timm with its weights.

    Args:
        name: a timm name, `hf-hub:ORG/NAME` or `local-dir:FOLDER`.
        checkpoint: a file of weights in place of the pretrained ones.
        kwargs: arguments of the model, such as `pad_type`; and `head`, one of `heads.MAPS`, for outputs in another
            order.

    Raises:
        ModelError: weights out of reach, a head without the 1000 classes, or arguments it does not take.
        CheckpointError: a weights file that is missing, unsafe, or of another architecture.
    """
    for each in _OURS:
        if each in kwargs:
            raise ModelError(f"--model-kwargs {each}: which weights are loaded is not a model's argument")
    head, own = kwargs.get("head"), {key: value for key, value in kwargs.items() if key != "head"}
    wide = {} if head is None else {"num_classes": heads.outputs(head)}
    left_out: tuple[str, ...] = ()
    if checkpoint is None:
        network = _pretrained(name, own)
    else:
        found = weights.read(checkpoint)
        network = _create(name, wide | own, pretrained=False)
        try:
            left_out = weights.load_into(network, found, checkpoint, name)
        except CheckpointError as error:
            bias = found.get(f"{_config(network).get('classifier')}.bias")
            raise CheckpointError(f"{error}{heads.advice(0 if head or bias is None else len(bias))}") from None
    tag = _tag(network) if checkpoint is None else None
    return replace(as_classifier(name, network, kwargs, tag, head), left_out=left_out)


def as_classifier(
    name: str, network: nn.Module, kwargs: dict[str, Any], tag: str | None, head: str | None = None
) -> Classifier:
    """Return a network of timm with the transform of its own data config.

    Raises:
        ModelError: its head lacks some of the 1000 classes, or is not the `head` named.
    """
    facts = _config(network)
    count = getattr(network, "num_classes", 0)
    wanted = heads.columns(name, count, _labels(facts), head)
    config: dict[str, Any] = resolve_model_data_config(network)
    return Classifier(
        name=name,
        architecture=str(facts.get("architecture")),
        tag=tag,
        kwargs=kwargs,
        digest=weights.digest(network),
        network=ready(heads.over_imagenet(network, count, wanted)),
        transform=create_transform(**config, is_training=False),  # pyright: ignore[reportArgumentType] - a Compose
        preprocessing=config,
    )


def _check_folder(name: str) -> None:
    """Raise ModelError for a folder that holds no model of timm."""
    if not (Path(name.partition(":")[2]) / "config.json").is_file():
        raise ModelError(f"no model at {name}: expected a folder with config.json and model.safetensors")


def _check_registered(name: str, pretrained: bool) -> None:
    """Raise ModelError, with near matches, for a name that timm does not know or cannot load; uses no network."""
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), n=_NEAR)
        raise ModelError(f"unknown model {name!r}{did_you_mean(near)}; timm.list_models() lists all")
    tagged = timm.list_pretrained(architecture)
    if tag and name not in tagged:
        near = difflib.get_close_matches(name, tagged, n=_NEAR, cutoff=0) or tagged[:_NEAR]
        raise ModelError(f"unknown model {name!r}: {architecture} has no weights tagged {tag!r}{did_you_mean(near)}")
    if not pretrained:
        return
    if not tagged:
        raise ModelError(f"timm has no trained weights for {name!r}: expected --checkpoint FILE, or another model")
    facts: dict[str, Any] = vars(timm.get_pretrained_cfg(name))
    heads.columns(name, facts["num_classes"], _labels(facts))


def _pretrained(name: str, kwargs: dict[str, Any]) -> nn.Module:
    """Create a model with its pretrained weights, in seconds also if there is no network and no cached copy."""
    for each in _OWN_ARGUMENTS:
        if each in kwargs:
            raise ModelError(f"{each} cannot be set for the pretrained weights of {name}: pass --checkpoint FILE too")
    if name.startswith("local-dir:"):
        return _whole(name, _create(name, kwargs, pretrained=True))
    with cache_only_where_unreachable():
        return _whole(name, _create(name, kwargs, pretrained=True))


def _whole(name: str, network: nn.Module) -> nn.Module:
    """Return the network; raise CheckpointError where timm dropped the classifier, whose weights are random then."""
    there, said = getattr(network, "num_classes", None), _config(network).get("num_classes")
    if there != said:
        raise CheckpointError(
            f"{name} has weights of {said} classes for a network of {there}: expected the same num_classes in its "
            "config.json and its arguments"
        )
    return network


def _create(name: str, kwargs: dict[str, Any], *, pretrained: bool) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=pretrained, **kwargs)
    except LocalEntryNotFoundError:
        raise ModelError(unreachable(f"the weights of {name}", "--checkpoint FILE")) from None
    except (HfHubHTTPError, HFValidationError, urllib.error.URLError) as error:
        raise ModelError(f"the weights of {name} cannot be loaded: {one_line(error)}") from None
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


def _labels(config: dict[str, Any]) -> list[str] | None:
    """Return the names of a model's outputs, if its config has them."""
    labels = config.get("label_names")
    if isinstance(labels, dict):
        labels = [labels[key] for key in sorted(labels, key=int)]
    return [str(each) for each in labels] if labels else None
