"""The spurious-correlation task on models and splits: admitted models, test images, and the table of all methods.

Needs no torch before features are read.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.cache.cache import Options
from benchmark.data.pairing import Pairing, from_record
from benchmark.data.split import Split
from benchmark.inference.evaluate import Subject
from benchmark.inference.features import features_of
from benchmark.metrics.seeds import OVER
from benchmark.models.registry import folder_of, source_of
from benchmark.models.training_record import RECORD, record_of
from benchmark.schemas.experiments import Correlation, Read
from benchmark.schemas.text import codes
from benchmark.spurious.sampling import Cells, draw, score
from d3s_dataset.errors import ModelError, ResultError
from d3s_dataset.utils.cli import progress


@dataclass(frozen=True)
class Task:
    """Settings: the groups, rho in [0, 1], seeds, erasers by name, devices, whether models may have seen all images."""

    pairing: Pairing
    rho: float
    seeds: Sequence[int]
    erasers: Sequence[str] = ()
    as_paper: bool = False
    options: Options = field(default_factory=Options)


def correlate(subjects: Sequence[Subject], splits: tuple[Split, Split], task: Task) -> Correlation:
    """Run the task.

    Args:
        subjects: the models; gains are over the first one's plain features.
        splits: to train on and to test on, of one release.
        task: the settings.

    Raises:
        ModelError: a model given twice, that saw conflicting images in its own training, or has no pooled features.
        ResultError: too few images of a group, or a head that did not converge.
    """
    from benchmark.spurious.methods import Rows, Setting, methods

    names = [each.name for each in subjects]
    for each in names:
        if names.count(each) > 1:
            raise ModelError(f"{each} is given {names.count(each)} times: expected each model once")
    if not task.as_paper:
        for each in subjects:
            check_unseen(each.name, task.pairing, each.checkpoint)
    backgrounds, kinds = splits[0].manifest.backgrounds, task.pairing.names
    kept, disjoint = _test_rows(splits, task.pairing)
    cells = Cells.of(task.pairing, splits[1].foreground[kept], splits[1].column("background")[kept], backgrounds)
    drawn = Cells.of(task.pairing, splits[0].foreground, splits[0].column("background"), backgrounds)
    draws = {each: draw(drawn, kinds, backgrounds, task.rho, each) for each in task.seeds}
    right: dict[tuple[str, str], list[np.ndarray]] = {}
    photos = codes(splits[1].column("foreground_source")[kept]), codes(splits[1].column("background_source")[kept])
    for subject in subjects:
        train, test = (features_of(subject, split, task.options) for split in splits)
        rows = Rows(train.values, drawn, train.foreground_source)
        every = methods(train.partition, list(task.erasers))
        turns = [(name, method, each) for each in task.seeds for name, method in every.items()]
        for name, method, each in progress(turns, label=subject.name, unit="head"):
            setting = Setting(rows, test.values[kept], draws[each], len(kinds), train.partition, each)
            right.setdefault((subject.name, name), []).append(method(setting) == cells.group)
    base = np.stack(right[subjects[0].name, "plain"])
    return Correlation(
        models=[each.model("fp32") for each in subjects],
        datasets=(splits[0].facts(), splits[1].facts()),
        pairing=task.pairing.record(),
        rho=task.rho,
        as_paper=task.as_paper,
        seeds=list(task.seeds),
        disjoint=disjoint,
        n={"aligned": int(cells.aligned.sum()), "conflicting": int((~cells.aligned).sum())},
        rows=[
            Read(model=model, method=method, scores=score(np.stack(answers), base, cells, kinds, photos))
            for (model, method), answers in right.items()
        ],
        intervals=OVER,
    )


def check_unseen(name: str, pairing: Pairing, checkpoint: Path | None = None) -> None:
    """Raise ModelError unless the folder's record shows that its training left out the pairing's conflicting images.

    So must the trainings whose weights that one started from. Pretrained weights of timm never saw a release; a
    checkpoint counts as such unless the record of a training is next to it.
    """
    folder = folder_of(name) if source_of(name).records else None
    path = record_of(checkpoint) if checkpoint else folder / RECORD if folder else None
    if path is None:
        return
    if checkpoint and not path.is_file():
        return
    own = _backgrounds(pairing)
    for left_out in _left_out(path):
        theirs = {} if left_out is None else _backgrounds(from_record(left_out, str(path)))
        if any(theirs.get(label) != background for label, background in own.items()):
            raise ModelError(
                f"{path} does not show that the model, and its initial weights, never saw conflicting images of these "
                "groups: train it with python -m benchmark.train --aligned-only and this pairing, or type --as-paper"
            )


def _backgrounds(pairing: Pairing) -> dict[int, str]:
    return {label: background for members, background in pairing.groups.values() for label in members}


def _left_out(path: Path) -> Iterator[Any]:
    """Yield the pairing that restricted a model's training (None: none), then those of its initial weights."""
    try:
        record = json.loads(path.read_bytes())
        yield _pairing_of(record)
        while (start := record["start"]) and (record := start["training"]) is not None:
            yield _pairing_of(record)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        yield None


def _pairing_of(record: dict[str, Any]) -> Any:
    """Return the pairing in a training's record, under its present or its older key; KeyError where it has neither."""
    return record["aligned_only" if "aligned_only" in record else "tied_only"]


def _test_rows(splits: tuple[Split, Split], pairing: Pairing) -> tuple[np.ndarray, dict[str, bool]]:
    """Return the rows of the test images, and for each kind of photo whether none is in the train split too.

    Images that share a photo with the train split are left out unless too few would be left.
    """
    train, test = splits
    own = pairing.group(test.foreground) >= 0
    aligned = pairing.aligned(test.foreground, test.column("background"), test.manifest.backgrounds)
    disjoint = {}
    for kind in ("foreground", "background"):
        source = f"{kind}_source"
        fresh = ~np.isin(test.column(source).astype(str), train.column(source).astype(str))
        disjoint[kind] = all((own & fresh & side).any() for side in (aligned, ~aligned))
        own &= fresh | (not disjoint[kind])
    if not (own & aligned).any() or not (own & ~aligned).any():
        raise ResultError(
            f"split {test.name!r} has no aligned and conflicting images of these groups: expected another pairing"
        )
    return np.flatnonzero(own), disjoint
