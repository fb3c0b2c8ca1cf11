"""`benchmark.run --from RESULT`: run the same model on the same images again and compare the predictions.

Nothing comes from the cache: that would compare a prediction with itself.
"""

import re
import time
from dataclasses import replace
from pathlib import Path

from benchmark.cache.cache import Options
from benchmark.data.split import Split, open_split
from benchmark.inference.evaluate import Subject, answers
from benchmark.models.registry import name_from_data
from benchmark.schemas import result as results
from benchmark.schemas.result import beside
from d3s_dataset.errors import ModelError, ReleaseError, ResultError


def run_again(path: Path, dataset: str, checkpoint: Path | None, options: Options, model: str | None = None) -> str:
    """Run a result's model on its images again.

    Args:
        path: the result; its predictions are next to it.
        dataset: where the images lie now: `d3s`, a folder, or a Hub repo.
        checkpoint: the file of weights, if the result was made with one.
        options: how to run it; the precision is the result's.
        model: the name as typed, needed where the result's is code or a folder: such a name is never taken from a file.

    Returns:
        The line that reports agreement, or the number of images on which they differ.

    Raises:
        ResultError: the result or its predictions cannot be read.
        ReleaseError: the images are others than the result's.
        ModelError: the model may not or cannot be loaded, or its weights are others.
    """
    result = results.read(path)
    name = _name(result.model.name, model, path)
    before = beside(path, result, "--from")
    split = _same_split(result.dataset, dataset)
    if before.key.tolist() != split.key.tolist():
        raise ResultError(f"{path.with_suffix('.parquet')} holds predictions of other images than {path}")
    subject = Subject(name, checkpoint, result.model.kwargs, devices=options.devices)
    _check_weights(result.model, subject, path)
    options = replace(options, precision=result.model.precision)
    after = split.predictions(answers(subject, split, options, time.monotonic())[0])
    differ = int((before.prediction[:, 0] != after.prediction[:, 0]).sum())
    said = f"{name} run again in {result.model.precision} on {split.n} images"
    return f"{said}: the same prediction on every image" if not differ else f"{said}: {differ} predictions differ"


def _name(name: str, typed: str | None, path: Path) -> str:
    """Return the name of the result's model, if it was typed or may come from a file."""
    if typed is None:
        return name_from_data(name, str(path))
    if typed != name:
        raise ModelError(f"--model {typed}: expected the model of {path}, {name!r}, or no --model")
    return typed


def _same_split(facts: results.Dataset, dataset: str) -> Split:
    name, part = re.fullmatch(r"(.*?)(?:\[:(\d+)\])?", facts.split, re.DOTALL).groups()  # pyright: ignore[reportOptionalMemberAccess] - matches anything
    split = open_split(dataset, facts.config, name, int(part) if part else None)
    found = split.facts().digest
    if found != facts.digest:
        raise ReleaseError(
            f"{dataset} holds other images (digest {found[:8]}) than the result's {facts.name} (digest "
            f"{facts.digest[:8]}): pass --dataset with the folder or repo it was measured on"
        )
    return split


def _check_weights(model: results.Model, subject: Subject, path: Path) -> None:
    # Before loading: without the file, other weights would be loaded from the Hub.
    if subject.checkpoint is None and model.checkpoint is not None:
        raise ModelError(f"{path} was made with the weights in {model.checkpoint}: pass that file as --checkpoint FILE")
    found = subject.facts.digest
    if found != model.digest:
        raise ModelError(
            f"the weights of {model.name} are others (digest {found[:8]}) than the result's ({model.digest[:8]})"
        )
