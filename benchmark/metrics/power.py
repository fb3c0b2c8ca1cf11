"""Power of a comparison on images that were predicted: from one model's answers, or from two.

Of two models, discordance and design effect are those measured on their images, with the variance that intervals use.
Of one model the design effect is that of its own accuracy, and the discordance with another model is assumed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.metrics.accuracy import hits
from benchmark.metrics.compute import sample_of
from benchmark.metrics.groups import by_background
from benchmark.metrics.intervals import Differences, accuracy_intervals, difference_intervals
from benchmark.schemas.metrics import Power
from benchmark.schemas.predictions import Predictions
from d3s_dataset.utils.power import Photos, detectable

ALL = "all images"


def of_two(before: Predictions, after: Predictions, backgrounds: Sequence[str]) -> dict[str, Power]:
    """Return the power of the comparison of two models, on each background and on all images (`all images`, last).

    Args:
        before: predictions, joined with the others.
        after: predictions on the same images.
        backgrounds: the release's background names in label order.
    """
    groups = by_background(after, backgrounds)
    right = [hits(each.foreground, each.prediction) for each in (before, after)]
    found = difference_intervals(right[1].astype(np.float64) - right[0], sample_of(after, groups))
    answer: dict[str, Power] = {}
    for place, name in enumerate([*groups.names, ALL]):
        rows = groups.labels == place if name != ALL else np.ones(len(after), dtype=bool)
        n, n_foregrounds, n_backgrounds = _photos(found.photos, place)
        discordance = float((right[0] != right[1])[rows].mean()) if n else 0.0
        effect = _effect(found, place, n, discordance)
        answer[name] = Power(
            n=n,
            foregrounds=n_foregrounds,
            backgrounds=n_backgrounds,
            effect=effect,
            discordance=discordance,
            detectable=shown(found, place, n, discordance),
        )
    return answer


def of_one(predictions: Predictions, backgrounds: Sequence[str], discordance: float) -> dict[str, Power]:
    """Return the power of a comparison with a model that is right or wrong on a share of the images in its place.

    Args:
        predictions: of one model.
        backgrounds: the release's background names in label order.
        discordance: that share, in [0, 1].
    """
    groups = by_background(predictions, backgrounds)
    right = hits(predictions.foreground, predictions.prediction)
    found = accuracy_intervals(right, sample_of(predictions, groups))
    answer: dict[str, Power] = {}
    for place, name in enumerate([*groups.names, ALL]):
        n, n_foregrounds, n_backgrounds = _photos(found.photos, place)
        known = n > 0 and not np.isnan(found.low[place])
        effect = n / float(found.size[place]) if known else None
        freedom = int(found.freedom[place])
        answer[name] = Power(
            n=n,
            foregrounds=n_foregrounds,
            backgrounds=n_backgrounds,
            effect=effect,
            discordance=discordance,
            detectable=None if effect is None else detectable(n, discordance, effect, freedom),
        )
    return answer


def of_plan(
    names: Sequence[str], photos: tuple[Photos, Photos], discordance: float, correlation: tuple[float, float]
) -> dict[str, Power]:
    """Return the power of a comparison on a balanced release that is not made yet.

    Args:
        names: of one background, and of all images.
        photos: of one background, and of all images (`planned`).
        discordance: share of images on which exactly one model is right.
        correlation: of differences on images of one foreground photo, and of one background photo.
    """
    return {
        name: Power(
            n=round(each.images),
            foregrounds=each.foregrounds,
            backgrounds=each.backgrounds,
            effect=each.effect(correlation),
            discordance=discordance,
            detectable=each.detectable(discordance, correlation),
        )
        for name, each in zip(names, photos, strict=True)
    }


def shown(found: Differences, at: int, n: int, discordance: float) -> float | None:
    """Return the smallest difference that measured images show with 80 % power at 5 %; None: none can be shown.

    Args:
        found: measured differences.
        at: which of them.
        n: images.
        discordance: share of them on which exactly one model is right.
    """
    effect = _effect(found, at, n, discordance)
    freedom, quantile = int(found.freedom[at]), float(found.quantile[at])
    return None if effect is None else detectable(n, discordance, effect, freedom, quantile)


def _effect(found: Differences, at: int, n: int, discordance: float) -> float | None:
    """Return how many times the variance of a mean difference is that of independent images; None: unknown."""
    if not n or np.isnan(found.error[at]):
        return None
    alone = max(discordance - float(found.mean[at]) ** 2, 1 / n)  # one image that differs, as in the intervals
    return float(found.error[at]) ** 2 * n / alone


def _photos(photos: np.ndarray, place: int) -> tuple[int, float, float]:
    """Return images, effective foreground photos and effective background photos; of all images those of all."""
    n, n_foregrounds, n_backgrounds = photos[:, place].tolist()
    return int(n), n_foregrounds, n_backgrounds
