"""Two or more predictions on the same images: joined by key, their differences with intervals and tests.

For one model on a release and its control sets, and for two models on the same images. An image stands for itself in
both, so differences are taken image by image, and photos are resampled as in `intervals`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from benchmark.metrics.accuracy import group_means, hits, mean
from benchmark.metrics.compute import sample_of
from benchmark.metrics.groups import Groups, by_background
from benchmark.metrics.intervals import Differences, difference_intervals
from benchmark.metrics.power import ALL, shown
from benchmark.metrics.statistics import doubts, holm, photos_of_all
from benchmark.schemas import result
from benchmark.schemas.metrics import Change
from benchmark.schemas.predictions import Predictions, take, without_answers
from benchmark.schemas.text import common, in_order, release, stored
from d3s_dataset.errors import ResultError

if TYPE_CHECKING:
    from jaxtyping import Bool

# What separates a photo of an object from that object on a D3S background: each step changes one thing.
CHAIN = (
    ("paste and scale", "control_original_guides", "control_scale_guides"),
    ("generator", "control_scale_guides", "control_scale"),
    ("background", "control_scale", "default"),
    ("background, on guides", "control_scale_guides", "guides"),
    ("all of it", "control_original_guides", "default"),
)
# Where no generator redraws anything, the images themselves are guides.
_GUIDES_CHAIN = (
    ("paste and scale", "control_original_guides", "control_scale_guides"),
    ("background", "control_scale_guides", "default"),
    ("all of it", "control_original_guides", "default"),
)
_OF_GUIDES = ("guides", "sample")  # kinds of release that may have no generator
_REDRAWN = {"control_scale", "guides"}  # configs that only releases with a generator have


@dataclass(frozen=True, eq=False)
class Joined:
    """Predictions on the images that all have, in one order; the i-th lacks `lacking[i]` that another has."""

    tables: tuple[Predictions, ...]
    lacking: tuple[int, ...]


def join(tables: Sequence[Predictions], names: Sequence[str]) -> Joined:
    """Keep the images that all tables have, sorted by key.

    Args:
        tables: predictions, two or more.
        names: what to call each in an error.

    Raises:
        ResultError: no image in common, or a key that stands for another object or background in another table.
    """
    rows, lacking = _shared(tables, names)
    return Joined(tuple(take(each, own) for each, own in zip(tables, rows, strict=True)), lacking)


def _shared(tables: Sequence[Predictions], names: Sequence[str]) -> tuple[list[np.ndarray], tuple[int, ...]]:
    """Return the rows of each table whose images all have, by key, and how many each lacks; raises as `join`."""
    found = [in_order(stored(each, "key")) for each in tables]
    orders, keys = [order for order, _ in found], [key for _, key in found]
    places, everywhere = common(keys)
    if not len(places[0]):
        first = ", ".join(f"{name} has {key[0]}" for name, key in zip(names, keys, strict=True))
        raise ResultError(f"no image in common between {' and '.join(names)}: {first} as its first key")
    rows = [each if own is None else own[each] for each, own in zip(places, orders, strict=True)]
    for name, table, own in zip(names[1:], tables[1:], rows[1:], strict=True):
        for label in ("foreground", "background"):
            other = np.flatnonzero(getattr(table, label)[own] != getattr(tables[0], label)[rows[0]])
            if len(other):
                image = keys[0][int(places[0][other[0]])]
                raise ResultError(f"image {image} has another {label} in {names[0]} than in {name}")
    return rows, tuple(everywhere - len(each) for each in tables)


def changes(before: Predictions, after: Predictions, backgrounds: Sequence[str]) -> dict[str, Change]:
    """Return the change of top-1 from one table to another, on each background and on all images (`all images`, last).

    The p-values of the backgrounds are corrected for their number (Holm); that of all images stands alone.

    Args:
        before: predictions, joined with the others.
        after: predictions on the same images; their photos are the ones that intervals resample.
        backgrounds: the release's background names in label order.
    """
    right = [hits(each.foreground, each.prediction) for each in (before, after)]
    return _changes(right, after, backgrounds)


def _changes(right: list[np.ndarray], images: Predictions, backgrounds: Sequence[str]) -> dict[str, Change]:
    groups = by_background(images, backgrounds)
    sample = sample_of(images, groups)
    found = difference_intervals(right[1].astype(np.int8) - right[0], sample)
    corrected = [*holm(found.p[:-1]), found.p[-1]]
    means = [[*group_means(each, groups.labels, len(groups))[0], mean(each)] for each in right]
    answer: dict[str, Change] = {}
    for place, name in enumerate([*groups.names, ALL]):
        rows = groups.labels == place if place < len(groups) else np.ones(len(images), dtype=bool)
        gained, lost = (int((one & ~two)[rows].sum()) for one, two in (right[::-1], right))
        n, n_foregrounds, n_backgrounds = (
            photos_of_all(found.photos) if name == ALL else found.photos[:, place].tolist()
        )
        answer[name] = Change(
            n=int(n),
            before=means[0][place],
            after=means[1][place],
            change=found.mean[place],
            ci95=(found.low[place], found.high[place]),
            p=found.p[place],
            p_holm=corrected[place],
            gained=gained,
            lost=lost,
            odds_ratio=gained / lost if lost else None,
            cohens_h=cohens_h(means[1][place], means[0][place]),
            doubts=doubts(n, n_foregrounds, n_backgrounds, 0.5),
            detectable=shown(found, place, int(n), (gained + lost) / n if n else 0.0),
        )
    return answer


def comparison(first: Predictions, second: Predictions, names: Sequence[str]) -> result.Comparison:
    """Compare two models on the images that both classified.

    Args:
        first: predictions with their provenance.
        second: of the other.
        names: what to call each in an error.

    Raises:
        ResultError: no provenance, other backgrounds, no image in common, or images that differ under the same key.
    """
    tables = (first, second)
    facts = [result.provenance(table.provenance, name) for table, name in zip(tables, names, strict=True)]
    backgrounds = [each.dataset.backgrounds for each in facts]
    if backgrounds[0] != backgrounds[1]:
        lists = "; ".join(", ".join(each) for each in backgrounds)
        raise ResultError(f"{names[0]} and {names[1]} have other backgrounds: {lists}")
    rows, lacking = _shared(tables, names)
    right = [hits(each.foreground, each.prediction)[own] for each, own in zip(tables, rows, strict=True)]
    images = take(without_answers(second), rows[1])
    del first, second, tables, rows  # where nobody else holds them, their memory is the bootstrap's
    release()
    return result.Comparison(
        first=facts[0].model,
        second=facts[1].model,
        datasets=(facts[0].dataset, facts[1].dataset),
        n=len(images),
        first_lacks=lacking[0],
        second_lacks=lacking[1],
        changes=_changes(right, images, backgrounds[0]),
    )


def overall(before: Bool[np.ndarray, " n"], after: Bool[np.ndarray, " n"], images: Predictions) -> float | None:
    """Return the two-sided p of the change of top-1 over all images; None where it is undefined (`over_all`)."""
    p = float(over_all(before, after, images).p[-1])
    return None if np.isnan(p) else p


def over_all(before: Bool[np.ndarray, " n"], after: Bool[np.ndarray, " n"], images: Predictions) -> Differences:
    """Return the changes of top-1 on each background, in label order, and over all images, last.

    Args:
        before: (n,) bool, right or wrong in one.
        after: (n,) bool, in the other, on the same images.
        images: whose photos are resampled, within each background.
    """
    labels, codes = np.unique(images.background, return_inverse=True)
    groups = Groups(codes, tuple(map(str, labels)))
    return difference_intervals(after.astype(np.float64) - before, sample_of(images, groups))


def steps_of(configs: Collection[str], kind: str) -> list[tuple[str, str, str]]:
    """Return the steps (name, config before, config after) whose both configs are there.

    Args:
        configs: what there are predictions on, of one release.
        kind: of the release (its manifest's). Without a generator, `default` holds guides: then the background step
            starts from `control_scale_guides`.
    """
    guides = kind in _OF_GUIDES and _REDRAWN.isdisjoint(configs)
    return [step for step in (_GUIDES_CHAIN if guides else CHAIN) if step[1] in configs and step[2] in configs]


def background_step(configs: Collection[str], kind: str, config: str) -> tuple[str, str, str] | None:
    """Return the step (name, config before, config after) that changes the background alone; None where there is none.

    Args:
        configs: as in `steps_of`.
        kind: as in `steps_of`.
        config: where the step should end; without such a step it is the one on guides.
    """
    found = [step for step in steps_of(configs, kind) if step[0].startswith("background")]
    return next((step for step in found if step[2] == config), found[0] if found else None)


def control_of(config: str, kind: str) -> str | None:
    """Return the config that differs from `default` or `guides` in the background alone; None for other configs.

    Args:
        config: of the images.
        kind: of the release.
    """
    if config not in ("default", "guides"):
        return None
    return "control_scale" if config == "default" and kind not in _OF_GUIDES else "control_scale_guides"


def chain(tables: dict[str, Predictions], backgrounds: Sequence[str], kind: str) -> dict[str, dict[str, Change]]:
    """Return the part of a drop due to each step: paste and scale, the generator, the background.

    Args:
        tables: one model's predictions by config, of the same release and split.
        backgrounds: the release's background names in label order.
        kind: of the release.

    Returns:
        Step -> background (and `all images`) -> change, for the steps whose both configs are there. All steps are
        taken on the images that every table has, so that they add up. Intervals resample the photos of `default`
        (or of the last config of the chain): the ones that other photos could have replaced.

    Raises:
        ResultError: no step can be taken, or the tables have no image in common.
    """
    steps = steps_of(tables, kind)
    if not steps:
        known = sorted({config for _, *pair in CHAIN for config in pair})
        raise ResultError(f"expected two configs of a step among {', '.join(known)}; got {', '.join(tables)}")
    used = [config for config in tables if any(config in step for step in steps)]
    joined = dict(zip(used, join([tables[each] for each in used], used).tables, strict=True))
    photos = joined[steps[-1][2]]
    shared = {name: getattr(photos, name) for name in ("foreground_source", "background_source")}
    return {
        name: changes(joined[before], replace(joined[after], **shared), backgrounds) for name, before, after in steps
    }


def cohens_h(one: float, other: float) -> float:
    """Return the difference of two shares on the arcsine scale (Cohen, "Statistical Power Analysis", 1988, ch. 6)."""
    return float(2 * np.arcsin(np.sqrt(one)) - 2 * np.arcsin(np.sqrt(other)))
