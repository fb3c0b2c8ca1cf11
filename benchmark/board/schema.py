"""A board as typed JSON: what `benchmark.leaderboard` writes, and the owner's notes on what was run again.

Counts are whole numbers, floats are rounded to six places, an empty group is null, and neither time nor
machine is recorded: the same files give the same bytes everywhere.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from benchmark.board.rules import Rules
from benchmark.metrics.registry import METRICS
from benchmark.reports.text import PLACES
from benchmark.schemas.metrics import Number, Strict
from benchmark.schemas.result import Result
from benchmark.schemas.versions import Upgrade, Versioned

State = Literal[
    "reproduced", "recomputed", "not reproduced", "incomplete", "duplicate", "superseded", "withdrawn", "refused"
]  # the first alone is ranked
Section = Literal["imagenet", "web", "d3s"]


class Record(Versioned):
    """The file `reproduced/<id>.json`, by the board's owner: the named weights, run again on some of the images.

    `content` is the digest of the submission that was compared, `seed` drew the rows after it was sent. `same` counts
    images whose five classes, probabilities and loss agree within `tolerance` (null: an older record, of the best class
    only, which ranks nothing). `sequence` counts what was reproduced on this board: the lower was there first.
    """

    id: str
    content: Annotated[str, Field(min_length=1)]
    seed: int
    rows: Annotated[int, Field(ge=1)]
    same: Annotated[int, Field(ge=0)]
    passed: bool
    device: str
    tolerance: Number = None
    sequence: Annotated[int, Field(ge=0)] = 0

    @property
    def sound(self) -> bool:
        """True if every image agrees, by the counts: `passed` alone proves nothing."""
        return self.passed and self.same == self.rows and self.tolerance is not None


class Cell(Strict):
    """Top-1 on some images: how many, how many right, and the 95 % interval."""

    n: int
    right: int
    top1: Number
    ci95: tuple[Number, Number]
    doubtful: bool


class Numbers(Strict):
    """All that a board shows of a submission's predictions, recomputed.

    `answers` is the digest of the predictions; `metrics` has those of the table (`benchmark.metrics.registry`).
    """

    answers: str
    all: Cell
    top5: Number
    by_background: dict[str, Cell]
    worst: str | None
    gap: Number
    flip_rate: Number
    metrics: dict[str, Number]


class Versus(Strict):
    """The paired test against the first of a tier, whose submission has this digest; `p` is null where none exists.

    `discordance` is the share of images on which exactly one of the two is right, `detectable` the smallest difference
    of top-1 that such a pair shows with 80 % power (`benchmark.metrics.power`).
    """

    content: str
    p: Number
    discordance: Number = None
    detectable: Number = None


class PowerLine(Strict):
    """Below which difference of top-1 two entries usually share a tier: the smallest that is shown with 80 % power.

    The medians over the paired tests of a board, `pairs` of them; without any (0), on a board of unrelated images'
    assumption: `discordance` as `d3s_dataset.utils.power` assumes it, of n images and their photos.
    """

    detectable: Number
    discordance: Number
    pairs: int
    n: int


class Entry(Strict):
    """One submission. `reason` is that of its state; a refused one has no numbers.

    `model` is the displayed name and `source` where the weights come from (`submission.names`); `repo` the Hub repo,
    `arguments` the digest of the model's arguments, `run_again` on how many images the owner ran it, `sequence` the
    record's where it was reproduced, `paper` its canonical name (`links`), `license` what the submitter states, `lacks`
    what the board's protocol needs and its predictions do not hold.
    """

    id: str
    content: str
    state: State
    reason: str = ""
    section: Section | None = None
    model: str = ""
    source: str = ""
    repo: str | None = None
    weights: str = ""
    arguments: str = ""
    notes: str = ""
    paper: str | None = None
    license: str | None = None
    lacks: str | None = None
    supersedes: str | None = None
    withdrawn: str | None = None
    numbers: Numbers | None = None
    sequence: int | None = None
    run_again: int | None = None
    rank: int | None = None
    tier: int | None = None
    versus: Versus | None = None


def _with_metrics(fields: dict[str, Any]) -> dict[str, Any]:
    """Return a board of version 2: version 1 has no metric of the table but `ece`, as a field of its own."""
    entries = [dict(each) for each in fields["entries"]]
    for entry in entries:
        if entry.get("numbers"):
            numbers = dict(entry["numbers"])
            entry["numbers"] = {"metrics": {"ece": numbers.pop("ece")}, **numbers}
    return {**fields, "entries": entries}


class Board(Versioned):
    """The file `board.json`."""

    VERSION: ClassVar[int] = 4
    UPGRADES: ClassVar[Mapping[int, Upgrade]] = {1: _with_metrics, 2: lambda fields: fields, 3: lambda fields: fields}

    rules: Rules
    power: PowerLine | None = None
    entries: list[Entry]


def to_bytes(board: Board) -> bytes:
    """Return a board as JSON: backgrounds in the release's order, floats rounded, NaN refused."""
    # Not sorted by key: a board that is read again would list its backgrounds in another order than one made anew.
    text = json.dumps(rounded(board.model_dump(mode="json")), indent=1, allow_nan=False)
    return (text + "\n").encode()


def rounded(value: Any) -> Any:
    """Return a JSON value with every float rounded to `PLACES`."""
    if isinstance(value, float):
        return round(value, PLACES) + 0.0  # no minus zero
    if isinstance(value, dict):
        return {name: rounded(each) for name, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list | tuple) else value


def numbers_of(result: Result, answers: str) -> Numbers:
    """Return what a board shows of a recomputed result."""
    metrics = result.metrics
    cells = {name: _cell(each.n, each) for name, each in metrics.by_background.items()}
    known = {name: cell.top1 for name, cell in cells.items() if cell.top1 is not None}
    return Numbers(
        answers=answers,
        all=_cell(metrics.n, metrics),
        top5=metrics.top5,
        by_background=cells,
        worst=min(known, key=lambda name: known[name]) if known else None,
        gap=metrics.gap,
        flip_rate=metrics.consistency.flip_rate,
        metrics={name: metrics.metric(name) for name in METRICS},
    )


def _cell(n: int, scored: Any) -> Cell:
    right = round(n * (scored.top1 or 0))
    return Cell(n=n, right=right, top1=scored.top1, ci95=scored.ci95, doubtful=bool(scored.doubts))
