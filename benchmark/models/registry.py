"""Models: what can stand after `--model`, as a table from prefix to who checks and loads it.

Torch half.
"""

import difflib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from benchmark.models import custom, timm_models, transformers_models, zero_shot
from benchmark.models.classifier import Classifier, perhaps
from d3s_dataset.errors import ModelError


@dataclass(frozen=True)
class Source:
    """One kind of name.

    Attributes:
        form: how such a name is typed.
        check: (name, pretrained) raises ModelError for a name that cannot be a model; asks no network.
        load: (name, checkpoint, kwargs) to a Classifier; and the device, where it `embeds`.
        embeds: whether loading runs the model: on the class names.
    """

    form: str
    check: Callable[[str, bool], None]
    load: Callable[..., Classifier]
    embeds: bool = False


_SOURCES: dict[str, Source] = {
    "": Source("a timm name", timm_models.check_registered, timm_models.load),
    "hf-hub": Source("hf-hub:ORG/NAME", lambda name, pretrained: None, timm_models.load),
    "local-dir": Source("local-dir:FOLDER", timm_models.check_folder, timm_models.load),
    "zero-shot": Source("zero-shot:REPO_OR_FOLDER", transformers_models.check, zero_shot.load, embeds=True),
    "transformers": Source("transformers:REPO_OR_FOLDER", transformers_models.check, transformers_models.load),
}
_FUNCTION = Source("MODULE:FUNCTION", custom.check, custom.load)


def load(
    name: str,
    checkpoint: Path | None = None,
    kwargs: dict[str, Any] | None = None,
    device: torch.device | None = None,
) -> Classifier:
    """Load a model with its weights.

    Args:
        name: a timm name, or one with a prefix (`hf-hub:ORG/NAME`, `MODULE:FUNCTION`, ...).
        checkpoint: a file of weights in place of the pretrained ones.
        kwargs: arguments of the model, such as `pad_type`.
        device: where class names are embedded, for a zero-shot model; None: a GPU if there is one, else the CPU.

    Raises:
        ModelError: unknown, weights out of reach, other classes than ImageNet's, or arguments it does not take.
        CheckpointError: a weights file that is missing, unsafe, or of another architecture.
    """
    check(name, pretrained=checkpoint is None)
    source = _source(name)
    return source.load(name, checkpoint, dict(kwargs or {}), *([device] if source.embeds else []))


def check(name: str, *, pretrained: bool) -> None:
    """Raise ModelError, with near matches, for a name that cannot be a model; reads nothing from a network."""
    _source(name).check(name, pretrained)


def _source(name: str) -> Source:
    prefix, colon, place = name.partition(":")
    if colon and not place:
        raise ModelError(f"unknown model {name!r}: nothing stands after the colon; {_expected()}")
    if prefix in _SOURCES or not colon:
        return _SOURCES[prefix if colon else ""]
    if not _importable(prefix):
        near = difflib.get_close_matches(prefix, filter(None, _SOURCES), n=1)
        missing = f"; Python finds no module {prefix!r} here"
        raise ModelError(f"unknown model {name!r}{perhaps(near)}: {_expected()}{missing}")
    return _FUNCTION


def _importable(module: str) -> bool:
    """Say whether Python finds the package that a dotted name starts with, without importing it."""
    first, *more = module.split(".")
    return all(part.isidentifier() for part in (first, *more)) and (
        first in sys.modules or find_spec(first) is not None
    )


def _expected() -> str:
    *forms, last = [each.form for each in (*_SOURCES.values(), _FUNCTION)]
    return f"expected {', '.join(forms)} or {last}"
