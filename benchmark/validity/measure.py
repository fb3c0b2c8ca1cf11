"""One model on a set of real images: from the cache, else computed into it. Loads torch only to compute."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark.cache.blocks import Best, Finished, Store
from benchmark.cache.cache import TRIAL_IMAGES, Options
from benchmark.inference.evaluate import Subject, content, environment
from benchmark.metrics.statistics import wilson
from benchmark.schemas.identity import stem
from benchmark.schemas.result import Dataset, make_folder
from benchmark.schemas.validity import RealResult, RealScore
from benchmark.validity.real_sets import RealPhotos, RealSet, read_set, real_set
from d3s_dataset.errors import ModelError
from d3s_dataset.identity import digest
from d3s_dataset.manifest import to_json
from d3s_dataset.taxonomy import SUPERCLASSES, classes
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.cli import warn

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, eq=False)
class Opened:
    """A set of real images, read: its name, what is known of it, its photos, a digest of their names and labels."""

    name: str
    facts: RealSet
    found: RealPhotos
    digest: str

    @property
    def labels(self) -> np.ndarray:
        """The classes, or superclasses, that the photos are of, (k,)."""
        return np.unique(self.found.photos.foreground)

    @property
    def among(self) -> list[int] | None:
        """The classes that answers are chosen from; None for all 1000."""
        return self.labels.tolist() if self.facts.among else None


def open_set(name: str, folder: Path) -> Opened:
    """Read a set of real images; warn if it has another number of classes than the whole set.

    Raises:
        SourceError: an unknown set, or a folder of another layout.
    """
    facts, found = real_set(name), read_set(name, folder)
    photos = found.photos
    sizes = [path.stat().st_size for path in photos.paths]
    rows = zip(photos.key.tolist(), sizes, photos.foreground.tolist(), found.groups, strict=True)
    opened = Opened(name, facts, found, digest([list(row) for row in rows]))
    if facts.classes and len(opened.labels) != facts.classes:
        warn(
            f"{folder} holds {len(opened.labels)} classes, {name} has {facts.classes}: "
            "not comparable with published figures"
        )
    return opened


def measure_real(subject: Subject, opened: Opened, options: Options) -> RealResult:
    """Measure a model on a set of real images.

    Raises:
        ModelError: the model cannot be loaded, or not be run.
        ReleaseError: an image that cannot be read.
    """
    best, finished = _best(subject, opened, options)
    right = _right(best, opened)
    groups = np.array(opened.found.groups, dtype=object)
    scores = {name: _score(right[groups == name]) for name in sorted(set(opened.found.groups))}
    return RealResult(
        model=subject.model(finished.run.precision),
        real_set=opened.name,
        paper=opened.facts.paper,
        digest=opened.digest,
        classes=len(opened.labels),
        among=opened.facts.among,
        groups=scores,
        differences={
            name: scores[a].top1 - scores[b].top1
            for name, (a, b) in opened.facts.differences.items()
            if a in scores and b in scores
        },
        **dict(finished),
    )


def write_real(out: Path, result: RealResult) -> Path:
    """Write a result on a real set to a folder; return its path."""
    make_folder(out)
    facts = {"kind": "real", "revision": None, "verified_fraction": None, "backgrounds": [], "config": "real"}
    n = sum(each.n for each in result.groups.values())
    images = Dataset(name=result.real_set, digest=result.digest, split="all", n=n, release=result.digest, **facts)
    path = out / f"{stem(result.model, images)}.real.json"
    write_atomic(path, to_json(result))
    return path


def _best(subject: Subject, opened: Opened, options: Options) -> tuple[np.ndarray, Finished]:
    """Return the (n,) best class of each photo, and the settings of the run."""
    started, photos, among = time.monotonic(), opened.found.photos, opened.among
    store = _store(subject, opened, options)
    finished = store.finished(photos.n)
    if finished is None:
        from benchmark.inference.predict import fill

        name, key = subject.name, photos.key

        def reduce(rows: slice, logits: "torch.Tensor") -> Best:
            return Best(_argmax(logits, among, f"{name}: image {key[rows][0]} and after"))

        run = fill(subject.classifier, photos, options, store, reduce)
        finished = Finished(run=run, environment=environment(), seconds=time.monotonic() - started)
        store.finish(photos.n, finished)
    return store.all(photos.n).prediction, finished


def _store(subject: Subject, opened: Opened, options: Options) -> Store[Best]:
    if subject.cache is None:
        return Store(Best)
    trial = min(opened.found.photos.n, TRIAL_IMAGES) if options.precision == "auto" else None
    return subject.cache.best(
        **content(subject, opened.found.photos, subject.cache),
        among=opened.among,
        precision=options.precision,
        compile=options.compile,
        trial=trial,
    )


def _argmax(logits: "torch.Tensor", among: Sequence[int] | None, where: str) -> np.ndarray:
    """Return the (n,) best class of (n, 1000) logits, of all or of some classes.

    Raises:
        ModelError: a logit that is not finite.
    """
    if not bool(logits.isfinite().all()):
        raise ModelError(f"{where}: a logit is not finite")
    if among is None:
        return logits.argmax(1).cpu().numpy()
    return np.array(among)[logits[:, list(among)].argmax(1).cpu().numpy()]


def _right(best: np.ndarray, opened: Opened) -> np.ndarray:
    """Return (n,) bool: the answer is the label, or of the label's superclass."""
    if opened.facts.superclasses:
        of = np.full(len(classes()), -1)
        for index, members in enumerate(SUPERCLASSES.values()):
            of[list(members)] = index
        best = of[best]
    return best == opened.found.photos.foreground


def _score(right: np.ndarray) -> RealScore:
    low, high = wilson(float(right.sum()), float(len(right)))
    return RealScore(n=len(right), top1=float(right.mean()), ci95=(float(low), float(high)))
