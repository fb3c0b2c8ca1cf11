"""Accuracies that timm publishes for its models on ImageNet and on other sets of real images.

`timm.csv` in this folder holds a selection with source, commits and licence in its header; `read_folder` reads the
whole tables from a copy of timm's `results/` folder. Accuracies are shares in [0, 1] here.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from d3s_dataset.errors import ResultError


@dataclass(frozen=True)
class PublishedSet:
    """A set of images with published accuracies.

    Attributes:
        file: timm's table of it.
        baseline: the set whose accuracy is taken out of it: ImageNet on the same classes. None for ImageNet itself.
    """

    file: str
    baseline: str | None


# ImageNet-R and -A have 200 classes, and timm evaluates them among those 200; so is their baseline.
SETS = {
    "imagenet": PublishedSet("results-imagenet.csv", None),
    "imagenet-r-clean": PublishedSet("results-imagenet-r-clean.csv", None),
    "imagenet-a-clean": PublishedSet("results-imagenet-a-clean.csv", None),
    "imagenet-real": PublishedSet("results-imagenet-real.csv", "imagenet"),
    "imagenetv2": PublishedSet("results-imagenetv2-matched-frequency.csv", "imagenet"),
    "sketch": PublishedSet("results-sketch.csv", "imagenet"),
    "imagenet-r": PublishedSet("results-imagenet-r.csv", "imagenet-r-clean"),
    "imagenet-a": PublishedSet("results-imagenet-a.csv", "imagenet-a-clean"),
}
COMPARED = [name for name, each in SETS.items() if each.baseline]


@dataclass(frozen=True)
class Published:
    """Published top-1: set -> model -> share; `source` says where it is from."""

    source: str
    top1: dict[str, dict[str, float]]

    @property
    def models(self) -> list[str]:
        """The models that any set has, in the order of the first."""
        return list(dict.fromkeys(model for each in self.top1.values() for model in each))

    def column(self, name: str, models: Iterable[str]) -> np.ndarray:
        """Return the (m,) top-1 of models on a set; NaN where it is not published."""
        return np.array([self.top1[name].get(model, np.nan) for model in models], dtype=np.float64)


def shipped() -> Published:
    """Return the selection that comes with the package."""
    text = files("benchmark.validity").joinpath("timm.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found: dict[str, dict[str, float]] = {name: {} for name in SETS}
    for row in csv.DictReader(lines):
        for name in SETS:
            if row[name]:
                found[name][row["model"]] = float(row[name]) / 100
    return Published("timm, the selection shipped in benchmark/validity/timm.csv", found)


def read_folder(folder: Path) -> Published:
    """Return the tables of a copy of timm's folder `results/`.

    Raises:
        ResultError: one of its files is missing, has no columns `model` and `top1`, or holds no percentage there.
    """
    return Published(f"timm's tables in {folder}", {name: _read(folder / each.file) for name, each in SETS.items()})


def _read(path: Path) -> dict[str, float]:
    expected = "expected timm's results/, with the columns model and top1 (in percent) in each results-*.csv"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {row["model"]: _share(row["top1"]) for row in csv.DictReader(file)}
    except FileNotFoundError:
        raise ResultError(f"no file at {path}: {expected}") from None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ResultError(
            f"{path} cannot be read as a table of timm ({type(error).__name__}: {error}): {expected}"
        ) from None


def _share(text: str) -> float:
    share = float(text) / 100
    if not 0 <= share <= 1:
        raise ValueError(f"top1 {text!r} is no percentage")
    return share
