"""Identity of a result: the model, how it was run, the images; and the names that follow from it.

File names, joins and tables compare all of it: two runs that differ in any part are two results. Needs no torch.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmark.schemas import predictions as predictions_
from benchmark.schemas import result as results
from benchmark.schemas.predictions import Predictions
from benchmark.schemas.result import Dataset, Model, Result
from d3s_dataset.errors import ResultError
from d3s_dataset.identity import digest

_SHOWN = 8  # characters of a digest that names and tables show
# Bytes of a file name; file systems allow 255, some encrypted ones fewer. `_ROOM` of them are for what follows a stem:
# `--rho0.333333.correlation.json` and the like, and the letters of a temporary name.
LONGEST = 200
_ROOM = 60
_LONGEST_IMAGES = 60
_FIRST = re.compile(r"\[:(\d+)\]$")


@dataclass(frozen=True)
class ModelIdentity:
    """Model and how it was run: name, digest of its weights, arguments and transform as JSON, precision."""

    name: str
    weights: str
    arguments: str
    transform: str
    precision: str


@dataclass(frozen=True)
class Identity:
    """Identity of a result: the model, and the images.

    `release` identifies the release whatever the config, `images` those of the config; a part of a split (`--limit`) is
    in the name of the split.
    """

    model: ModelIdentity
    release: str | None
    images: str
    config: str
    split: str


def model_identity(model: Model) -> ModelIdentity:
    """Return what identifies a model and how it was run."""
    facts = model.model_dump(mode="json")
    arguments, transform = (json.dumps(facts[name], sort_keys=True) for name in ("kwargs", "transform"))
    return ModelIdentity(model.name, model.digest, arguments, transform, model.precision)


def identity(model: Model, dataset: Dataset) -> Identity:
    """Return what identifies a result."""
    return Identity(model_identity(model), release_of(dataset), dataset.digest, dataset.config, dataset.split)


def release_of(dataset: Dataset) -> str | None:
    """Return the digest of the release that images are of; None where an older file does not hold it."""
    return dataset.release or (dataset.digest if dataset.config == "default" else None)


def check_chain(parts: Sequence[tuple[str, Model, Dataset]]) -> None:
    """Check that results can be joined image by image: one model, run in one way, on configs of one release.

    Args:
        parts: what to call each in an error, its model, its images.

    Raises:
        ResultError: they differ in more than the config, or two have the same config.
    """
    (first, model, dataset), *others = parts
    own = identity(model, dataset)
    for name, kind, images in parts:
        if release_of(images) is None:
            raise ResultError(
                f"{name} is of config {images.config} and does not hold the digest of its release, as files of an "
                f"older benchmark.run: run {kind.name} on it again"
            )
    for name, kind, images in others:
        other = identity(kind, images)
        for each in fields(ModelIdentity):
            _same(_WHAT[each.name], first, getattr(own.model, each.name), name, getattr(other.model, each.name))
        _same("split", first, own.split, name, other.split)
        _same("release (digest)", first, own.release, name, other.release)
    configs = [images.config for _, _, images in parts]
    if len(set(configs)) < len(configs):
        raise ResultError(f"expected files of different configs, got {', '.join(configs)}")


_WHAT = {
    "name": "model",
    "weights": "model (digest of the weights)",
    "arguments": "model (arguments)",
    "transform": "model (transform)",
    "precision": "precision",
}


def _same(what: str, first: str, expected: object, name: str, found: object) -> None:
    if found != expected:
        raise ResultError(f"expected files of one {what}: {first} has {expected}, {name} has {found}")


def labels(models: Sequence[Model]) -> list[str]:
    """Return what tables call models: their tag or name, and what differs where several share it."""
    shown = [each.tag or each.name for each in models]
    groups = {name: [each for each, own in zip(models, shown, strict=True) if own == name] for name in shown}
    return [name + _mark(each, groups[name]) for each, name in zip(models, shown, strict=True)]


def _mark(model: Model, group: Sequence[Model]) -> str:
    """Return what distinguishes a model from others of its tag, in parentheses; nothing where nothing does."""
    every, own = [model_identity(each) for each in group], model_identity(model)
    arguments = ", ".join(f"{key}={value}" for key, value in sorted(model.kwargs.items())) or "no arguments"
    words = {
        "name": model.name,
        "weights": model.digest[:_SHOWN],
        "arguments": arguments,
        "transform": f"transform {digest(own.transform)[:_SHOWN]}",
        "precision": model.precision,
    }
    parts = [word for name, word in words.items() if len({getattr(each, name) for each in every}) > 1]
    return f" ({'; '.join(parts)})" if parts else ""


def stem(model: Model, dataset: Dataset, *settings: Any) -> str:
    """Return the file name, without suffix, that predictions and result of a model share.

    Args:
        model: the model.
        dataset: the images.
        settings: what else the numbers depend on, as JSON values; none for predictions and their result.

    Returns:
        `<model>[-<argument>-<value>]--<dataset>-<config>-<split>--<precision>--<first 8 of the digest of
        the identity and settings>`, of letters, digits and `._-`. A long model or data set keeps its end, which differs
        more often than the start; the digest differs always.
    """
    found = identity(model, dataset)
    parts = [*vars(found.model).values(), found.release, found.images, found.config, found.split, *settings]
    own = digest(parts)[:_SHOWN]
    part = _FIRST.sub(r"-first\1", dataset.split)
    images = _end(f"{dataset.name}-{dataset.config}-{part}", _LONGEST_IMAGES)
    tail = f"--{images}--{_end(model.precision, _SHOWN)}--{own}"
    # As JSON gives them back: the name is the same before and after the file was written.
    arguments = "".join(f"-{key}-{value}" for key, value in json.loads(found.model.arguments).items())
    return _end(model.name + arguments, LONGEST - _ROOM - len(tail)) + tail


def write_files(out: Path, result: Result, predictions: Predictions) -> Path:
    """Write a result and its predictions, next to each other under their `stem`.

    Args:
        out: the folder; it is made.
        result: of the predictions.
        predictions: with their provenance.

    Returns:
        The path of the result; the predictions have the suffix `.parquet`.

    Raises:
        WriteError: the files cannot be written.
    """
    results.make_folder(out)
    name = stem(result.model, result.dataset)
    path = out / f"{name}.json"
    predictions_.write(out / f"{name}.parquet", predictions)
    results.write(path, result)
    return path


def _end(text: str, most: int) -> str:
    """Return the last `most` characters of a text as part of a file name."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", text)
    return plain[-most:].strip("._-") or "_"
