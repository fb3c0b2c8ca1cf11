"""Experiment trackers: the curves of a training in TensorBoard and in Weights & Biases.

A point holds means over the steps since the point before. The checkpoint of a training holds all its points, and
trackers are opened with those: whenever it was killed, a resumed training shows every step once.

Needs no torch before a tracker is opened. Only the leading process opens any.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benchmark.models.training_record import TENSORBOARD
from d3s_dataset.errors import MissingExtra, ModelError, WriteError, one_line
from d3s_dataset.utils.extras import late, require

EVERY = 50  # steps per point; the end of an epoch is one too
_FLUSH = 10  # seconds after which a running TensorBoard sees new points
_PROJECT = "d3s"  # on Weights & Biases, unless WANDB_PROJECT names another

Point = dict[str, Any]  # {"step": from 1, "time": seconds since 1970, "values": {name: mean}}


@dataclass(frozen=True)
class Tracked:
    """The training that trackers show.

    Attributes:
        name: what to call it.
        id: its own name on Weights & Biases, the same before and after a kill; 8 letters and digits.
        settings: its settings, as JSON values.
        points: those of before it was killed.
    """

    name: str
    id: str
    settings: dict[str, Any]
    points: Sequence[Point]


class Tracker(Protocol):
    """A tracker that is open."""

    def log(self, point: Point) -> None:
        """Show one more point."""
        ...

    def close(self, failed: bool) -> None:
        """Finish; `failed` where an exception ends the training."""
        ...


def check_trackers(tensorboard: bool, wandb: bool) -> None:
    """Raise MissingExtra, before any work, where a wanted tracker is not installed. Imports none."""
    if tensorboard:
        try:
            require("benchmark", "tensorboard")
        except MissingExtra as error:
            raise MissingExtra("tensorboard", "benchmark", " (or leave the curves out: --no-tensorboard)") from error
    if wandb:
        require("wandb", "wandb")


@contextmanager
def tracked(out: Path, training: Tracked, *, tensorboard: bool, wandb: bool) -> Iterator[list[Tracker]]:
    """Open trackers, which show the points of before at once, and close them at the end.

    Args:
        out: folder of the model; TensorBoard's files go into a folder `tensorboard` in it.
        training: what they show.
        tensorboard: whether to open TensorBoard's.
        wandb: whether to open that of Weights & Biases, which keeps to its own variables (WANDB_MODE, WANDB_DIR, ...).

    Raises:
        MissingExtra: a tracker is not installed.
        ModelError: Weights & Biases refuses: no login, no connection, a variable of no meaning.
        WriteError: TensorBoard's files cannot be written.
    """
    opened: list[Tracker] = []
    failed = True
    try:
        if wandb:
            opened.append(_WandB(training))
        if tensorboard:
            opened.append(_TensorBoard(out / TENSORBOARD, training))
        for point in training.points:
            for each in opened:
                each.log(point)
        yield opened
        failed = False
    finally:
        for each in opened:
            each.close(failed)


class _TensorBoard:
    """Event files of TensorBoard; those of an earlier or unfinished training in the folder are replaced."""

    def __init__(self, folder: Path, training: Tracked) -> None:
        made = late("torch.utils.tensorboard", "benchmark").SummaryWriter
        self._folder = folder
        with self._writing():
            for path in folder.glob("events.out.tfevents.*"):
                path.unlink()
            # With a step to purge from, a TensorBoard that shows this folder drops what it has read of it before.
            self._writer = made(str(folder), flush_secs=_FLUSH, purge_step=0)
            self._writer.add_text("settings", f"    {json.dumps(training.settings, indent=1)}".replace("\n", "\n    "))

    def log(self, point: Point) -> None:
        with self._writing():
            for name, value in point["values"].items():
                self._writer.add_scalar(f"train/{name}", value, point["step"], walltime=point["time"])

    def close(self, failed: bool) -> None:
        with self._writing():
            self._writer.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise WriteError(f"cannot write {self._folder}: {one_line(error)}") from None


class _WandB:
    """A run on Weights & Biases; a resumed one adds what the server lacks, an offline one is written whole again."""

    def __init__(self, training: Tracked) -> None:
        self._wandb = late("wandb", "wandb")
        try:
            self._run = self._wandb.init(
                project=os.environ.get("WANDB_PROJECT", _PROJECT),
                name=os.environ.get("WANDB_NAME", training.name),
                id=training.id,
                resume="allow",
                config=training.settings,
            )
        except (self._wandb.Error, ValueError, OSError) as error:
            raise ModelError(
                f"--wandb: {one_line(error)} (type `wandb login`, or set WANDB_MODE=offline to sync later)"
            ) from None
        self._next = self._run.starting_step

    def log(self, point: Point) -> None:
        if point["step"] >= self._next:
            self._run.log({f"train/{name}": value for name, value in point["values"].items()}, step=point["step"])

    def close(self, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))
