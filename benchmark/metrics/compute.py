"""Every metric of a result, from predictions: `benchmark.run` and `benchmark.score` both compute their numbers here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from benchmark.metrics.accuracy import consistency, error_ratio, gap, group_means, hits, mean, reweighted
from benchmark.metrics.factors import Failures, binned, by_level, failures, ladders
from benchmark.metrics.groups import Groups, by_background, by_foreground, by_superclass, crossed
from benchmark.metrics.intervals import RESAMPLES, SEED, Intervals, Sample, accuracy_intervals
from benchmark.metrics.registry import METRICS
from benchmark.metrics.shrunk import Shrunk, shrink
from benchmark.metrics.statistics import LEVEL, doubts, photos_of_all
from benchmark.metrics.worst_group import LEAST_IMAGES, SPLITS, worst_of
from benchmark.schemas import metrics as scores
from benchmark.schemas import result
from benchmark.schemas.predictions import BEST, Predictions, replaced, take, without_answers
from benchmark.schemas.text import codes, order_of, release, stored
from d3s_dataset.errors import ResultError

METRICS_VERSION = 3  # raised whenever the same predictions give another number: boards then compute anew
_METHOD = "Wilson with two-way clustered design effect, studentised two-way bootstrap over photos"
_INTERVAL = {"method": _METHOD, "level": LEVEL, "resamples": RESAMPLES, "splits": SPLITS, "seed": SEED}


@dataclass(frozen=True, eq=False)
class _Scored:
    """Groups of images with their numbers: top-1 (n,) bool, accuracies (g,), intervals (g,) and of all images."""

    groups: Groups
    top1: np.ndarray
    five: np.ndarray
    sample: Sample
    found: Intervals


@dataclass(frozen=True, eq=False)
class _Answered:
    """Inputs of metrics from predictions, in order of keys: the images, top-1 and top-5 (n,), the values of a table."""

    images: Predictions
    groups: Groups
    top1: np.ndarray
    top5: np.ndarray
    measured: dict[str, np.ndarray]
    by_background: dict[str, np.ndarray]


def score(predictions: Predictions, backgrounds: Sequence[str], *, fine: bool = True) -> scores.Metrics:
    """Compute every metric of a result.

    Args:
        predictions: of a model.
        backgrounds: the release's background names in label order.
        fine: whether classes and superclasses on backgrounds are scored and the worst groups chosen, most of the time.

    Raises:
        ResultError: a background label without a name.
    """
    return _metrics(_answered(_in_order(predictions), backgrounds), fine)


def _in_order(predictions: Predictions) -> Predictions:
    """Return predictions sorted by key, without keys."""
    # Sums of floats depend on the order of rows; a result must not.
    order, _ = order_of(stored(predictions, "key"))
    keyless = replaced(predictions, key=pa.nulls(len(predictions)))
    return keyless if order is None else take(keyless, order)


def _answered(predictions: Predictions, backgrounds: Sequence[str]) -> _Answered:
    groups = by_background(predictions, backgrounds)
    return _Answered(
        images=without_answers(predictions),
        groups=groups,
        top1=hits(predictions.foreground, predictions.prediction, 1),
        top5=_top5(predictions),
        measured=_measured(predictions, np.zeros_like(groups.labels), 1),
        by_background=_measured(predictions, groups.labels, len(groups)),
    )


def _metrics(said: _Answered, fine: bool) -> scores.Metrics:
    images, groups, top1, top5 = said.images, said.groups, said.top1, said.top5
    scored = _scored(groups, top1, top5, images)
    small = _scored(crossed(by_superclass(images), groups), top1, top5, images) if fine else None
    cells = _shrunk(small, len(groups)) if small else None
    by_plan = _ByPlan(images, groups, top1, top5) if fine else None
    overall = mean(top1)
    return scores.Metrics(
        n=len(images),
        top1=overall,
        top5=mean(top5),
        ci95=_interval(scored.found, -1),
        doubts=doubts(*photos_of_all(scored.found.photos), overall),
        averages=_averages(images, groups, top1, top5),
        **_further(said.measured, 0),
        consistency=_consistency(top1, images),
        by_background=_backgrounds(scored, overall, said.by_background),
        worst_background=_worst(scored, 1) if fine else None,
        gap=gap(overall, scored.found.mean[:-1]),
        by_superclass_background=_superclasses(small, groups.names, cells) if small else {},
        interaction=cells.deviation if cells else None,
        worst_group=_worst(small, LEAST_IMAGES) if small else None,
        by_foreground=_classes(images, groups, top1, top5) if fine else {},
        factors=by_plan.factors() if by_plan else None,
        severity=by_plan.severity() if by_plan else None,
        interval=_INTERVAL,
    )


def _top5(predictions: Predictions) -> np.ndarray:
    """Return (n,) whether the class is among the five best; NaN where predictions hold fewer than five."""
    if predictions.prediction.shape[1] < BEST:
        return np.full(len(predictions), np.nan)
    return hits(predictions.foreground, predictions.prediction, BEST)


def sample_of(predictions: Predictions, groups: Groups) -> Sample:
    """Return the photos that images share, with the mean over all grouped images as the one mix."""
    sizes = np.bincount(groups.labels[groups.labels >= 0], minlength=len(groups))
    photos = _codes(predictions, "foreground_source"), _codes(predictions, "background_source")
    return Sample(*photos, predictions.background, groups.labels, len(groups), sizes[None].astype(np.float64))


def _codes(predictions: Predictions, name: str) -> np.ndarray:
    return codes(stored(predictions, name)).astype(np.int32)  # fewer than 2^31 photos


def result_of(predictions: Predictions, where: str, *, fine: bool = True) -> result.Result:
    """Return the result of predictions that carry their provenance.

    Args:
        predictions: of a model, with provenance.
        where: the file they came from, for errors.
        fine: see `score`.

    Raises:
        ResultError: the provenance is not what benchmark.run writes, or of another number of images.
    """
    facts = result.provenance(predictions.provenance, where)
    if len(predictions) != facts.dataset.n:
        raise ResultError(f"{where}: expected {facts.dataset.n} rows, the images that it is of, got {len(predictions)}")
    predictions = _in_order(predictions)
    said = _answered(predictions, facts.dataset.backgrounds)
    del predictions  # where nobody else holds them, their memory is the bootstrap's
    release()
    metrics = _metrics(said, fine)
    whole = facts.imagenet.top1 if facts.imagenet else None
    return result.Result(
        **dict(facts),
        metrics=metrics,
        drop=None if whole is None or metrics.top1 is None else whole - metrics.top1,
    )


def _scored(groups: Groups, top1: np.ndarray, top5: np.ndarray, predictions: Predictions) -> _Scored:
    sample, belongs = sample_of(predictions, groups), groups.labels >= 0
    five = group_means(top5[belongs], groups.labels[belongs], len(groups))[0]
    return _Scored(groups, top1, five, sample, accuracy_intervals(top1, sample))


def _interval(found: Intervals, at: int) -> tuple[float, float]:
    return float(found.low[at]), float(found.high[at])


def _group(scored: _Scored, label: int) -> dict[str, Any]:
    """Return the fields of a `scores.GroupScore`."""
    n, n_foregrounds, n_backgrounds = (int(each) for each in scored.found.counts[:, label])
    top1 = float(scored.found.mean[label])
    return {
        "n": n,
        "top1": top1,
        "top5": scored.five[label],
        "ci95": _interval(scored.found, label),
        "foreground_sources": n_foregrounds,
        "background_sources": n_backgrounds,
        "doubts": doubts(n, *_effective(scored.found, label), top1),
    }


def _effective(found: Intervals, label: int) -> tuple[float, float]:
    return float(found.photos[1, label]), float(found.photos[2, label])


def _backgrounds(scored: _Scored, overall: float, measured: dict[str, np.ndarray]) -> dict[str, scores.BackgroundScore]:
    ratio = error_ratio(overall, scored.found.mean[:-1])
    return {
        name: scores.BackgroundScore(
            **_group(scored, label),
            error_ratio=ratio[label],
            **_further(measured, label),
        )
        for label, name in enumerate(scored.groups.names)
    }


def _shrunk(scored: _Scored, columns: int) -> Shrunk | None:
    row, column = np.divmod(np.arange(len(scored.groups)), columns)
    return shrink(scored.top1, scored.sample, row, column)


def _superclasses(
    scored: _Scored, backgrounds: Sequence[str], shrunk: Shrunk | None
) -> dict[str, dict[str, scores.CellScore]]:
    answer: dict[str, dict[str, scores.CellScore]] = {}
    for label, name in enumerate(scored.groups.names):
        superclass, background = name.split(" on ")[0], backgrounds[label % len(backgrounds)]
        pulled = _pulled(shrunk, label) if shrunk and scored.found.counts[0, label] else None
        answer.setdefault(superclass, {})[background] = scores.CellScore(**_group(scored, label), shrunk=pulled)
    return answer


def _pulled(found: Shrunk, label: int) -> scores.Shrunk:
    ends = float(found.low[label]), float(found.high[label])
    return scores.Shrunk(top1=float(found.mean[label]), ci95=ends)


def _worst(scored: _Scored, least: int) -> scores.Worst | None:
    return worst_of(scored.groups.names, scored.top1, scored.sample, scored.found, least)


def _averages(predictions: Predictions, groups: Groups, top1: np.ndarray, top5: np.ndarray) -> scores.Averages:
    cells = crossed(by_foreground(predictions), groups)

    def averages(values: np.ndarray) -> tuple[float, float, float]:
        each, fine = (group_means(values, kind.labels, len(kind))[0] for kind in (groups, cells))
        return mean(values), reweighted(each), reweighted(fine)

    pairs = zip(averages(top1), averages(top5), strict=True)
    image, background, mix = (scores.Accuracy(top1=one, top5=five) for one, five in pairs)
    return scores.Averages(per_image=image, mean_of_backgrounds=background, training_mix=mix)


def _measured(predictions: Predictions, labels: np.ndarray, count: int) -> dict[str, np.ndarray]:
    """Return (count,) values of every metric of the table."""
    return {name: each.compute(predictions, labels, count) for name, each in METRICS.items()}


def _further(measured: dict[str, np.ndarray], label: int) -> dict[str, Any]:
    """Return the fields of a `scores.Further` for one group: its own where the schema has one, else in `further`."""
    values = {name: float(each[label]) for name, each in measured.items()}
    own = {name: value for name, value in values.items() if name in scores.Further.model_fields}
    return {**own, "further": {name: value for name, value in values.items() if name not in own}}


def _consistency(top1: np.ndarray, predictions: Predictions) -> scores.Consistency:
    photos, always, flips = consistency(top1, _codes(predictions, "foreground_source"), predictions.background)
    return scores.Consistency(photos=photos, always_right=always, flip_rate=flips)


def _classes(
    predictions: Predictions, groups: Groups, top1: np.ndarray, top5: np.ndarray
) -> dict[str, scores.ClassScore]:
    classes = by_foreground(predictions)
    cells, shape = crossed(classes, groups), (len(classes), len(groups))
    first, sizes = (each.reshape(shape) for each in group_means(top1, cells.labels, len(cells)))
    one, five = (group_means(values, classes.labels, len(classes))[0] for values in (top1, top5))
    return {
        classes.names[label]: scores.ClassScore(
            n=int(sizes[label].sum()),
            top1=one[label],
            top5=five[label],
            n_by_background=sizes[label].tolist(),
            top1_by_background=first[label].tolist(),
        )
        for label in np.flatnonzero(sizes.sum(1))
    }


@dataclass(frozen=True, eq=False)
class _ByPlan:
    """Scores of what a release varies by plan."""

    predictions: Predictions
    backgrounds: Groups
    top1: np.ndarray
    top5: np.ndarray

    def factors(self) -> scores.Factors | None:
        given = {"size": self.predictions.size, "place": self.predictions.place}
        bins = {name: binned(values) for name, values in given.items() if values is not None}
        if not bins:
            return None
        every = self.backgrounds
        for name, each in bins.items():
            every = crossed(every, Groups(each.labels, tuple(f"{name} {one}" for one in each.names)), ", ")
        fine = {name: self._scored(crossed(self.backgrounds, each)) for name, each in bins.items()}
        made = {name: self._binned(each, fine[name]) for name, each in bins.items()}
        # With one factor the groups are the same, by other names: each bootstrap takes a second at 20,000 images.
        scored = replace(*fine.values(), groups=every) if len(bins) == 1 else self._scored(every)
        worst = _worst(scored, LEAST_IMAGES)
        return scores.Factors(size=made.get("size"), place=made.get("place"), worst_group=worst)

    def _scored(self, groups: Groups) -> _Scored:
        return _scored(groups, self.top1, self.top5, self.predictions)

    def _both(self, groups: Groups, fine: _Scored) -> tuple[list[dict[str, Any]], list[list[dict[str, Any]]]]:
        """Return the fields of the groups' scores: of each, and of each on each background, scored in `fine`."""
        whole, k = self._scored(groups), len(groups)
        own = [[_group(fine, label * k + at) for at in range(k)] for label in range(len(self.backgrounds))]
        return [_group(whole, at) for at in range(k)], own

    def _binned(self, groups: Groups, fine: _Scored) -> scores.Binned:
        whole, own = self._both(groups, fine)

        def named(each: list[dict[str, Any]]) -> dict[str, scores.GroupScore]:
            return {name: scores.GroupScore(**one) for name, one in zip(groups.names, each, strict=True)}

        backgrounds = {name: named(each) for name, each in zip(self.backgrounds.names, own, strict=True)}
        return scores.Binned(all_images=named(whole), by_background=backgrounds)

    def severity(self) -> scores.Severity | None:
        if self.predictions.severity is None:
            return None
        groups, levels = by_level(self.predictions.severity)
        whole, own = self._both(groups, self._scored(crossed(self.backgrounds, groups)))
        found = ladders(self.predictions, self.top1, groups, len(self.backgrounds))
        together = replace(found, sample=replace(found.sample, group=np.zeros_like(found.sample.group), groups=1))
        every, each = failures(together, 1), failures(found, len(self.backgrounds))
        return scores.Severity(
            all_images=_ladders(every, 0, whole, levels),
            by_background={
                name: _ladders(each, label, own[label], levels) for label, name in enumerate(self.backgrounds.names)
            },
            incomplete=found.incomplete,
        )


def _ladders(found: Failures, group: int, images: list[dict[str, Any]], levels: np.ndarray) -> scores.LadderScore:
    shown = [float(f"{level:.6g}") for level in levels]  # float32 in predictions
    median, *ends = (None if at is None else shown[at] for at in found.median(group))
    rows = zip(shown, images, found.failed[group], found.low[group], found.high[group], strict=True)
    return scores.LadderScore(
        n=int(found.n[group]),
        censored=int(found.censored[group]),
        failure_point=median,
        ci95=(ends[0], ends[1]),
        levels=[
            scores.LevelScore(**each, level=level, failed=float(share), failed_ci95=(float(low), float(high)))
            for level, each, share, low, high in rows
        ],
    )
