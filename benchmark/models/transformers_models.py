"""Models of transformers, from a Hub repo or a folder: image classifiers, and what zero-shot models share with them.

Torch half. Imports transformers only if such a model is loaded.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from PIL.Image import Image
from safetensors import SafetensorError
from torch import nn

from benchmark.models import heads, weights
from benchmark.models.classifier import Classifier, ready
from d3s_dataset.errors import MissingExtra, ModelError, one_line
from d3s_dataset.hub.offline import cache_only_where_unreachable, unreachable
from d3s_dataset.utils.extras import late

_REPO = re.compile(r"[\w.-]+(/[\w.-]+)?")
_SHOWN = 3  # weights of a mismatch that an error lists


def check(name: str, pretrained: bool) -> None:
    """Raise ModelError for a name that is neither a folder with a config nor a Hub repo; uses no network."""
    _transformers()
    place = name.partition(":")[2]
    if not pretrained:
        raise ModelError(f"{name} comes with its own weights: expected no --checkpoint, or a timm name with it")
    if Path(place).is_dir():
        if not (Path(place) / "config.json").is_file():
            raise ModelError(f"no model at {name}: expected a folder with config.json and model.safetensors")
    elif not _REPO.fullmatch(place):
        raise ModelError(f"no model at {name}: expected a folder that is there, or a Hub repo ORG/NAME")


def load(name: str, checkpoint: Path | None, kwargs: dict[str, Any]) -> Classifier:
    """Load an image classifier; its outputs are put into ImageNet's order by the names in `id2label`.

    Args:
        name: `transformers:REPO_OR_FOLDER`.
        checkpoint: None.
        kwargs: `head`: one of `heads.MAPS`, for outputs that `id2label` does not name as ImageNet's classes.

    Raises:
        ModelError: weights out of reach or incomplete, or a head without the 1000 classes.
    """
    refuse_unknown(name, kwargs, known=("head",))
    model = pretrained(name, "AutoModelForImageClassification")
    labels = [model.config.id2label[output] for output in range(model.config.num_labels)]
    wanted = heads.columns(name, len(labels), labels, kwargs.get("head"))
    transform = image_processor(name)
    return Classifier(
        name=name,
        architecture=type(model).__name__,
        tag=None,
        kwargs=kwargs,
        digest=weights.digest(model),
        network=ready(heads.over_imagenet(_Logits(model), len(labels), wanted)),
        transform=transform,
        preprocessing=transform.settings(),
    )


def refuse_unknown(name: str, kwargs: dict[str, Any], known: tuple[str, ...]) -> None:
    """Raise ModelError for a model argument that nothing would use."""
    for key in kwargs:
        if key not in known:
            raise ModelError(f"{name} does not take --model-kwargs {key}: expected {' or '.join(known) or 'none'}")


def pretrained(name: str, kind: str) -> Any:
    """Load a model in float32 with all its weights, in seconds also if there is no network and no cached copy.

    Args:
        name: prefix and place.
        kind: which of transformers' Auto classes reads it.

    Raises:
        ModelError: out of reach, not of that kind, or with weights missing, which transformers would leave random.
    """
    auto = getattr(_transformers(), kind)
    with _reading(name):
        model, found = auto.from_pretrained(
            _place(name), output_loading_info=True, dtype=torch.float32, trust_remote_code=False
        )
    wrong = sorted(map(str, (*found["missing_keys"], *found["mismatched_keys"])))
    if wrong:
        more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        raise ModelError(f"{name} lacks weights of a {type(model).__name__}: {', '.join(wrong[:_SHOWN])}{more}")
    return model


def part(name: str, kind: str) -> Any:
    """Load what belongs to a model, such as its config or tokenizer, by transformers' Auto class `kind`.

    Raises:
        ModelError: missing, out of reach or damaged.
        MissingExtra: a tokenizer that needs a package which is not installed.
    """
    auto = getattr(_transformers(), kind)
    try:
        with _reading(name):
            return auto.from_pretrained(_place(name), trust_remote_code=False)
    except ImportError as error:
        if "sentencepiece" in str(error):
            raise MissingExtra("sentencepiece", "benchmark") from None
        raise ModelError(f"{name} cannot be loaded: {one_line(error)}") from None


@dataclass(frozen=True)
class Transform:
    """An image processor of transformers as a function of one image."""

    processor: Any

    def __call__(self, image: Image) -> torch.Tensor:
        """Return (3, height, width) float32."""
        return self.processor(images=image, return_tensors="pt")["pixel_values"][0]

    def settings(self) -> dict[str, Any]:
        """Return the processor's own settings as JSON, with its class."""
        settings = json.loads(self.processor.to_json_string())
        return settings | {"image_processor_type": type(self.processor).__name__}


def image_processor(name: str) -> Transform:
    """Load a model's own image processor; raises ModelError if it has none."""
    return Transform(part(name, "AutoImageProcessor"))


class _Logits(nn.Module):
    """An image classifier of transformers as a network from images to logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return one logit an output, (n, outputs)."""
        return self.model(pixel_values=images).logits


def _place(name: str) -> str:
    return name.partition(":")[2]


def _transformers() -> Any:
    return late("transformers", "benchmark")


@contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turn what can go wrong in `from_pretrained` into one line, and keep it from printing more."""
    try:
        with cache_only_where_unreachable(), _silent():
            yield
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        if isinstance(error.__cause__, LocalEntryNotFoundError):
            raise ModelError(unreachable(f"the files of {name}", "a folder that has them")) from None
        verb = "be had" if isinstance(error.__cause__, HfHubHTTPError) else "be loaded"
        raise ModelError(f"{name} cannot {verb}: {one_line(error)}") from None


@contextmanager
def _silent() -> Iterator[None]:
    # It reports missing weights and draws bars on stderr, also where that is no terminal.
    logging = _transformers().utils.logging
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
