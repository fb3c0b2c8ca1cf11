"""Models of a command line: the flags for weights, and the checks of names before any work."""

from argparse import ArgumentParser
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmark.cache.cache import Cache
from benchmark.inference.evaluate import Subject
from benchmark.models.registry import check, source_of
from benchmark.models.specs import Entry, argument
from d3s_dataset.errors import ModelError
from d3s_dataset.utils.cli import working
from d3s_dataset.utils.extras import require


def add_model_flags(parser: ArgumentParser) -> None:
    """Add the flags of a model: `--checkpoint`, `--model-kwargs` and `--devices`."""
    add = parser.add_argument
    add("--checkpoint", type=Path, metavar="FILE", help="weights in place of the pretrained ones")
    add("--model-kwargs", type=argument, nargs="+", default=[], metavar="K=V", help="arguments of the model")
    add("--devices", nargs="+", metavar="D", help="such as cuda:0 cuda:1; default: all GPUs, else the CPU")


def subjects(
    entries: Sequence[Entry],
    checkpoint: Path | None = None,
    cache: Cache | None = None,
    devices: Sequence[str] | None = None,
) -> list[Subject]:
    """Return the models by name, their names checked.

    Args:
        entries: names, arguments and files of weights.
        checkpoint: a file of weights, for a single model without one of its own.
        cache: predictions are read from it and stored in it; None for neither. Those of `MODULE:FUNCTION` never are.
        devices: torch names such as `cuda:0`; None for all GPUs, else the CPU.

    Raises:
        ModelError: a name that cannot be a model, or a checkpoint for several or for one that has its own.
    """
    if checkpoint and len(entries) > 1:
        raise ModelError(
            f"--checkpoint holds the weights of one model, got {len(entries)} models: in a models file, write "
            "checkpoint=FILE after each name"
        )
    if checkpoint and entries[0].checkpoint:
        raise ModelError(f"{entries[0].name} has its own checkpoint={entries[0].checkpoint}: expected no --checkpoint")
    found = [
        Subject(
            each.name,
            each.checkpoint or checkpoint,
            each.kwargs,
            cache if source_of(each.name).cacheable else None,
            devices,
        )
        for each in entries
    ]
    for each in found:
        if each.recalled is None:
            with working("loading torch"):
                import_module(source_of(each.name).module)
            check(each.name, pretrained=each.checkpoint is None)
    return found


def check_installed(*more: str) -> None:
    """Raise MissingExtra for a package that running a model needs and that is not installed, or one of `more`."""
    require("benchmark", "torch", "timm", "torchvision", "scipy", "rich", *more)
