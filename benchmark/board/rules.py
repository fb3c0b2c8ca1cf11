"""Rules of a board: its images (`leaderboard.json`) and their labels in the release.

A board is about images of D3S, or it is a rehearsal: about anything else (the drawn sample, guides, a control), marked
on every page. Neither takes the other's submissions, and neither is written over the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, ValidationError, model_validator

from benchmark.data.split import open_split
from benchmark.schemas.predictions import Predictions
from benchmark.schemas.result import Dataset, first_wrong
from benchmark.schemas.text import differing, in_order, stored, taken
from benchmark.schemas.versions import Upgrade, Versioned
from d3s_dataset.errors import ReleaseError, ResultError
from d3s_dataset.schema import not_d3s

FILE_NAME = "leaderboard.json"
_LONGEST_KIND = 40  # characters of a stranger's text in an error
_LABELS = ("foreground", "background", "foreground_source", "background_source")
# Protocol version -> columns of predictions that a ranked entry must hold, beside those that every file has.
# 1: top-1 is ranked, other metrics are shown where there are any. 2: every ranked entry has every metric of the table.
PROTOCOLS: dict[int, tuple[str, ...]] = {1: (), 2: ("squares",)}
NEWEST = max(PROTOCOLS)


def _with_rehearsal(fields: dict[str, Any]) -> dict[str, Any]:
    """Return rules of version 2: in version 1, boards about guides and controls were not marked as rehearsals."""
    other = not_d3s(str(fields.get("kind")), str(fields.get("config")))
    return {"rehearsal": other is not None, **fields}


class Rules(Versioned):
    """The file `leaderboard.json`: the images that a board is about.

    `digest` is that of the config's shards; `repo` and `revision` locate the release on the Hub, if it is there;
    `rehearsal` is true exactly where the images are not D3S's. `protocol_version` (`PROTOCOLS`; version 2 of the file
    has none: 1) is raised by the owner: every entry is then scored anew from its predictions, and what they lack of the
    new protocol takes an entry's rank, not its place.
    """

    VERSION: ClassVar[int] = 3
    UPGRADES: ClassVar[Mapping[int, Upgrade]] = {
        1: _with_rehearsal,
        2: lambda fields: {"protocol_version": 1, **fields},
    }

    name: str
    kind: str
    digest: str
    config: str
    split: str
    n: int
    repo: str | None = None
    revision: str | None = None
    rehearsal: bool = False
    protocol_version: Annotated[int, Field(ge=1, le=NEWEST)] = NEWEST

    @model_validator(mode="after")
    def _rehearsal_or_d3s(self) -> Self:
        if self.rehearsal != (self.warning is not None):
            wanted = "false: the images are D3S's" if self.rehearsal else f"true: the images are {self.warning}"
            raise ValueError(f"rehearsal: expected {wanted}")
        return self

    @property
    def warning(self) -> str | None:
        """A warning if the images are not D3S's, as those of the drawn sample, `guides` or a control; else None."""
        return not_d3s(self.kind, self.config)

    @property
    def mark(self) -> str | None:
        """The sentence that marks every page of a rehearsal; None on a board about D3S."""
        return f"Rehearsal on {self.warning}: no number here is a result on D3S" if self.rehearsal else None

    @property
    def title(self) -> str:
        """The headline of a board's pages."""
        return f"{self.name} rehearsal" if self.rehearsal else f"{self.name} leaderboard"

    def lacks(self, predictions: Predictions) -> str | None:
        """Return why predictions cannot be ranked under this protocol, though they are what they should be; or None."""
        missing = [name for name in PROTOCOLS[self.protocol_version] if getattr(predictions, name) is None]
        if not missing:
            return None
        return (
            f"protocol {self.protocol_version} needs {' and '.join(missing)}, which its predictions lack: run it again"
        )

    def check(self, facts: Dataset) -> None:
        """Raise ResultError where a result is on other images, or on a part of them."""
        other = not_d3s(facts.kind[:_LONGEST_KIND], facts.config[:_LONGEST_KIND])
        if other and not self.rehearsal:
            raise ResultError(f"expected a result on D3S, got one on {other}: only a rehearsal board takes it")
        if self.rehearsal and not other:
            raise ResultError(f"expected a result on {self.warning} (a rehearsal), got one on D3S: send it to a board")
        for name in ("kind", "digest", "config", "split", "n", "name"):
            wanted, got = getattr(self, name), getattr(facts, name)
            if wanted != got:
                raise ResultError(f"expected a result on {name} {wanted}, got {str(got)[:80]}")
        if self.revision and facts.revision not in (None, self.revision):
            raise ResultError(f"expected a result on revision {self.revision}, got {str(facts.revision)[:80]}")

    def check_rehearsal(self, asked: bool, where: Path) -> None:
        """Raise ResultError where `--rehearsal` is typed for a board about D3S, or not typed for a rehearsal.

        Args:
            asked: whether it is typed.
            where: the board's folder.
        """
        if self.rehearsal and not asked:
            raise ResultError(f"{where} is a rehearsal on {self.warning}: add --rehearsal")
        if asked and not self.rehearsal:
            raise ResultError(
                f"--rehearsal: {where} is a board about D3S: expected a rehearsal's folder; to begin one, add --begin "
                "and a --dataset that is not D3S, such as the drawn sample"
            )


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

    @cached_property
    def _text(self) -> dict[str, pa.Array]:
        """The columns of text as Arrow holds them, for comparisons with many submissions."""
        return {name: pa.array(getattr(self, name).tolist(), pa.large_string()) for name in ("key", *_LABELS[2:])}

    def check(self, predictions: Predictions) -> None:
        """Raise ResultError unless predictions are of these images, all of them, under their own labels."""
        order, keys = in_order(stored(predictions, "key"))
        if len(keys) != len(self):
            raise ResultError(f"expected {len(self):,} predictions, got {len(keys):,}")
        other = differing(keys, self._text["key"])
        if len(other):
            odd = keys[int(other[0])].as_py()
            raise ResultError(f"expected a prediction for each image, got another key or none: {odd[:40]!r}")
        for name in _LABELS:
            values = stored(predictions, name)
            values = values if order is None else taken(values, order)
            wanted = self._text.get(name)
            wrong = np.flatnonzero(values != getattr(self, name)) if wanted is None else differing(values, wanted)
            if len(wrong):
                raise ResultError(f"{name} of image {self.key[wrong[0]]} is another than the release's")


def rules_of(dataset: str | Path, config: str = "default", split: str = "validation", rehearsal: bool = False) -> Rules:
    """Return the rules of a board on a release.

    Args:
        dataset: folder or Hub repo of the release.
        config: which images of it.
        split: which of its splits.
        rehearsal: whether the board is a rehearsal.

    Raises:
        ReleaseError: no release; one that is not D3S, without `rehearsal`; or D3S with it.
    """
    facts = open_split(dataset, config, split).facts()
    other = not_d3s(facts.kind, facts.config)
    if other and not rehearsal:
        raise ReleaseError(
            f"{dataset}, config {config}: {other}: expected a release of D3S, or --rehearsal for a board that is "
            "marked as one"
        )
    if rehearsal and not other:
        raise ReleaseError(f"--rehearsal: {dataset} is D3S: expected the drawn sample, guides or a control config")
    repo = str(dataset) if facts.revision else None
    names = ("name", "kind", "digest", "config", "split", "n", "revision")
    return Rules(repo=repo, rehearsal=rehearsal, **{name: getattr(facts, name) for name in names})


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
