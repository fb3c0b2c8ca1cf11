"""Models: the values of `--model`, as a table from prefix to the facts about such names that need no torch.

A name is `PREFIX:PLACE`, a name of timm (no colon), or `MODULE:FUNCTION`. Torch is imported when one is checked or
loaded, by the source's own module.
"""

import difflib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.models import packaged_weights
from benchmark.models.prompts import TEMPLATES, prompts
from benchmark.schemas.result import ELSEWHERE
from d3s_dataset.errors import ModelError, did_you_mean
from d3s_dataset.identity import digest
from d3s_dataset.utils.plugins import PluginTable

if TYPE_CHECKING:
    import torch

    from benchmark.models.classifier import Classifier

_NAME = r"[\w-][\w.-]*"
_REPO = r"[\w-][\w.-]*/[\w-][\w.-]*(?:@[\w./-]+)?"


@dataclass(frozen=True)
class ModelSource:
    """One kind of name.

    Attributes:
        form: how such a name is typed.
        module: of `check(name, pretrained)`, which raises ModelError for a name that cannot be a model and uses no
            network, and of `load(name, checkpoint, kwargs)`, which returns a `Classifier`.
        place: the part after the colon: a name, a repo of the Hub, a folder, either, or code. Code is in no file
            that could be compared, so what it gives is never cached; a name that was read from a file may only be a
            name or a repo.
        packages: whose versions decide what a load gives.
        more: what else decides it, as a value of JSON; None where nothing does.
        file: for names whose weights are one file that is neither on the Hub nor in a folder that was named: where it
            lies on this machine, or None if it does not.
        snapshot: whether all files of a repo count, not only those that timm reads.
        records: whether a folder may hold the records of `benchmark.train`.
        embeds: whether loading runs the model, on the class names; `load` then also takes a device.
    """

    form: str
    module: str
    place: Literal["name", "repo", "folder", "repo or folder", "code"]
    packages: tuple[str, ...] = ("timm",)
    more: Callable[[], Any] | None = None
    file: Callable[[str], Path | None] | None = None
    snapshot: bool = False
    records: bool = False
    embeds: bool = False

    @property
    def cacheable(self) -> bool:
        """True if predictions and facts may be cached."""
        return self.place != "code"

    @property
    def repo(self) -> bool:
        """True if the place may be a repo of the Hub."""
        return "repo" in self.place


def _prompts() -> str:
    return digest({each: prompts(templates) for each, templates in TEMPLATES.items()})


_TIMM, _TRANSFORMERS = "benchmark.models.timm_models", "benchmark.models.transformers_models"
_BOTH = ("timm", "transformers")
MODELS: PluginTable[ModelSource] = PluginTable(
    "d3s.models",
    "model source",
    {
        "": ModelSource("a timm name", _TIMM, "name"),
        "hf-hub": ModelSource("hf-hub:ORG/NAME", _TIMM, "repo"),
        "local-dir": ModelSource("local-dir:FOLDER", _TIMM, "folder", records=True),
        "zero-shot": ModelSource(
            "zero-shot:REPO_OR_FOLDER", "benchmark.models.zero_shot", "repo or folder", _BOTH,
            more=_prompts, snapshot=True, embeds=True,
        ),
        "transformers": ModelSource(
            "transformers:REPO_OR_FOLDER", _TRANSFORMERS, "repo or folder", _BOTH, snapshot=True
        ),
        packaged_weights.PREFIX: ModelSource(
            "packaged:NAME", "benchmark.models.packaged", "name", file=packaged_weights.file_of
        ),
    },
    ModelSource,
)  # fmt: skip
_FUNCTION = ModelSource("MODULE:FUNCTION", "benchmark.models.custom", "code")


def load(
    name: str,
    checkpoint: Path | None = None,
    kwargs: dict[str, Any] | None = None,
    device: "torch.device | None" = None,
) -> "Classifier":
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
    source = source_of(name)
    return import_module(source.module).load(name, checkpoint, dict(kwargs or {}), *([device] if source.embeds else []))


def check(name: str, *, pretrained: bool) -> None:
    """Raise ModelError, with near matches, for a name that cannot be a model; reads nothing from a network."""
    prefix, colon, place = name.partition(":")
    if colon and not place:
        raise ModelError(f"unknown model {name!r}: nothing stands after the colon; expected {forms()}")
    if colon and prefix not in MODELS and not _importable(prefix):
        near = difflib.get_close_matches(prefix, filter(None, MODELS), n=1)
        missing = f"; Python finds no module {prefix!r} here"
        raise ModelError(f"unknown model {name!r}{did_you_mean(near)}: expected {forms()}{missing}")
    import_module(source_of(name).module).check(name, pretrained)


def source_of(name: str) -> ModelSource:
    """Return the source of a model's name."""
    prefix, colon, _ = name.partition(":")
    return MODELS.get(prefix if colon else "", _FUNCTION)


def folder_of(name: str) -> Path | None:
    """Return the folder that a model's name refers to, or None."""
    source, place = source_of(name), Path(name.partition(":")[2])
    return place if source.place == "folder" or (source.place == "repo or folder" and place.is_dir()) else None


def forms() -> str:
    """Return all forms of a name, as words."""
    *some, last = [each.form for each in (*MODELS.values(), _FUNCTION)]
    return f"{', '.join(some)} or {last}"


def name_from_data(name: str, where: str) -> str:
    """Return a model name that was read from a file (a result, a submission, a list of models), if it may be loaded.

    A name typed on the command line may name code or a folder of this machine. One that was read from a file may have
    been written by a stranger, so it may only name weights whose code is ours or a library's: a name of timm, or of
    another source of names, or a repo.

    Args:
        name: the name.
        where: the file it was read from, for the error.

    Raises:
        ModelError: it names code or a folder, which only a command line may do.
    """
    if name.startswith(ELSEWHERE):
        raise ModelError(f"{where} is of predictions made elsewhere ({name}): there are no weights to run")
    prefix, colon, place = name.partition(":")
    source = source_of(name) if not colon or (prefix and prefix in MODELS) else _FUNCTION
    named = source.place == "name" and re.fullmatch(_NAME, place if colon else name, re.ASCII)
    in_repo = source.repo and re.fullmatch(_REPO, place, re.ASCII)
    if not named and not in_repo:
        names = [each.form for each in MODELS.values() if each.place == "name"]
        repos = [f"{each}:" for each, source in MODELS.items() if source.repo]
        raise ModelError(
            f"{where} names the model {name!r}: a name from a file may be {', '.join(names)}, or "
            f"{', '.join(repos[:-1])} or {repos[-1]} and ORG/NAME; code and folders load only when typed as --model"
        )
    return name


def _importable(module: str) -> bool:
    """Return whether Python finds the package that a dotted name starts with, without importing it."""
    first, *more = module.split(".")
    return all(part.isidentifier() for part in (first, *more)) and (
        first in sys.modules or find_spec(first) is not None
    )
