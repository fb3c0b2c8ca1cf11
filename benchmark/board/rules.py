"""Rules of a board: its images (`leaderboard.json`) and their labels in the release."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ValidationError

from benchmark.data.split import open_split
from benchmark.schemas.predictions import Predictions
from benchmark.schemas.result import Dataset, first_wrong
from benchmark.schemas.versions import Versioned
from d3s_dataset.errors import ReleaseError, ResultError
from d3s_dataset.schema import not_d3s

FILE_NAME = "leaderboard.json"
KIND = "d3s"  # the only kind with a board: the drawn sample and unredrawn guides are no D3S
_LABELS = ("foreground", "background", "foreground_source", "background_source")


class Rules(Versioned):
    """The file `leaderboard.json`: the images that a board is about.

    `digest` is that of the config's shards; `repo` and `revision` locate the release on the Hub, if it is there.
    """

    name: str
    kind: Literal["d3s"]
    digest: str
    config: str
    split: str
    n: int
    repo: str | None = None
    revision: str | None = None

    @property
    def warning(self) -> str | None:
        """A warning if the images are not D3S's, as those of `guides` or a control; else None."""
        return not_d3s(self.kind, self.config)

    def check(self, facts: Dataset) -> None:
        """Raise ResultError where a result is on other images, or on a part of them."""
        if facts.kind != KIND:
            raise ResultError(f"expected a result on a release of kind {KIND}, got kind {facts.kind[:20]!r}")
        for name in ("digest", "config", "split", "n", "name"):
            wanted, got = getattr(self, name), getattr(facts, name)
            if wanted != got:
                raise ResultError(f"expected a result on {name} {wanted}, got {str(got)[:80]}")
        if self.revision and facts.revision not in (None, self.revision):
            raise ResultError(f"expected a result on revision {self.revision}, got {str(facts.revision)[:80]}")


@dataclass(frozen=True, eq=False)
class Truth:
    """The labels of a board's images, sorted by key: each (n,)."""

    facts: Dataset
    key: np.ndarray
    foreground: np.ndarray
    background: np.ndarray
    foreground_source: np.ndarray
    background_source: np.ndarray

    def __len__(self) -> int:
        return len(self.key)

    def check(self, predictions: Predictions) -> None:
        """Raise ResultError unless predictions are of these images, all of them, under their own labels."""
        keys = predictions.key.astype(str)
        if len(keys) != len(self):
            raise ResultError(f"expected {len(self):,} predictions, got {len(keys):,}")
        order = np.argsort(keys)
        other = np.flatnonzero(keys[order] != self.key)
        if len(other):
            odd = keys[order][other[0]]
            raise ResultError(f"expected a prediction for each image, got another key or none: {odd[:40]!r}")
        for name in _LABELS:
            wrong = np.flatnonzero(getattr(predictions, name)[order] != getattr(self, name))
            if len(wrong):
                raise ResultError(f"{name} of image {self.key[wrong[0]]} is another than the release's")


def rules_of(dataset: str | Path, config: str = "default", split: str = "validation") -> Rules:
    """Return the rules of a board on a release.

    Raises:
        ReleaseError: no release, or not one of D3S: a drawn sample has no board.
    """
    facts = open_split(dataset, config, split).facts()
    if facts.kind != KIND:
        raise ReleaseError(f"expected a release of kind {KIND}, {dataset} is of kind {facts.kind}: no board for it")
    repo = str(dataset) if facts.revision else None
    names = ("name", "digest", "config", "split", "n", "revision")
    return Rules(kind=KIND, repo=repo, **{name: getattr(facts, name) for name in names})


def read_rules(board: Path) -> Rules:
    """Return the rules of a board.

    Raises:
        ResultError: the folder is no board's, or its rules cannot be read.
    """
    path = board / FILE_NAME
    if not path.is_file():
        raise ResultError(
            f"{board} is no leaderboard: it has no {FILE_NAME}; to begin one, type "
            f"`python -m benchmark.leaderboard {board} --begin --dataset DIR_OR_REPO`"
        )
    return parse_rules(path.read_bytes(), str(path))


def parse_rules(content: bytes, where: str) -> Rules:
    """Return the rules in a file's content; raises ResultError with the file's name if they cannot be read."""
    try:
        return Rules.model_validate_json(content)
    except ValidationError as error:
        raise ResultError(f"{where} cannot be read: {first_wrong(error)}") from None


def truth_of(dataset: str | Path, rules: Rules) -> Truth:
    """Return the labels of a board's images.

    Raises:
        DatasetNotFound, ReleaseError: no release there, or another one than the board's.
    """
    split = open_split(dataset, rules.config, rules.split)
    facts = split.facts()
    if facts.digest != rules.digest:
        raise ReleaseError(
            f"{dataset} holds other images (digest {facts.digest[:8]}) than the board is about ({rules.digest[:8]}): "
            f"pass --dataset with {rules.repo or rules.name}"
        )
    order = np.argsort(split.column("key").astype(str))
    return Truth(facts, split.column("key").astype(str)[order], *(split.column(name)[order] for name in _LABELS))
