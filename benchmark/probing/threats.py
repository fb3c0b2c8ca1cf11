"""Threat models of an eraser: what can be learnt of a background from more than one erased vector of one image.

An eraser's leakage is measured on one vector per image, read by the whole family of probes. Whoever holds more reads
more: many images known to share a background photo (`bags`), or, where an eraser draws noise, the eraser itself, of
which copies of an image that differ in a last bit can be erased and averaged (`queried`); as their number grows the
average nears what the eraser leaves without noise (`noiseless`). An eraser that draws nothing gives a query away
nothing. Needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmark.erasers import options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jaxtyping import Bool, Float, Int

    Map = Callable[[np.ndarray], np.ndarray]

BAGS = (5, 20, 60)  # images of one background photo
COPIES = 16
_DEALS = 10  # times that the images of a photo are dealt out into bags
_LEAST_PROBABILITY = 1e-12
_NOISE = "strength"  # what random erasers call the standard deviation of their noise


def bags(
    probability: Float[np.ndarray, "m k"],
    labels: Int[np.ndarray, " m"],
    photo: Int[np.ndarray, " m"],
    count: int,
    seed: int = 0,
) -> Bool[np.ndarray, " b"]:
    """Return (b,) bool: the label of a bag of images that share a photo is read from all of them together.

    A bag's log probabilities are the sums of its images', which is Bayes' rule for images that are independent given
    the label and labels that are equally likely. The images of each photo are dealt out `_DEALS` times at random; what
    is left over is in no bag, and photos with fewer than `count` images have none.

    Args:
        probability: (m, k) a probe's, calibrated, for one vector per image.
        labels: (m,) of the images.
        photo: (m,) codes of the photos that the labels are of.
        count: of images in a bag.
        seed: of the deals.
    """
    logs = np.log(np.maximum(probability, _LEAST_PROBABILITY))
    draw, right = np.random.default_rng(seed), []
    for each in np.unique(photo):
        rows = np.flatnonzero(photo == each)
        whole = len(rows) // count * count
        for _ in range(_DEALS if whole else 0):
            among = draw.permutation(rows)[:whole].reshape(-1, count)
            right.append(logs[among].sum(1).argmax(1) == labels[among[:, 0]])
    return np.concatenate(right) if right else np.zeros(0, dtype=bool)


def queried(erase: Map, features: Float[np.ndarray, "m d"], copies: int = COPIES) -> Float[np.ndarray, "m d"]:
    """Return the mean of erased copies of each image, (m, d) float32, which differ in the last bit of one feature.

    Copy i has feature i raised to the next float32, copy 0 none: noise that is drawn by the bytes of features is drawn
    anew for each.

    Args:
        erase: a fitted eraser.
        features: (m, d) before erasure.
        copies: how many, at most d + 1.
    """
    total = erase(features).astype(np.float64)
    for place in range(copies - 1):
        copy = features.astype(np.float32)
        copy[:, place] = np.nextafter(copy[:, place], np.float32(np.inf))
        total += erase(copy)
    return (total / copies).astype(np.float32)


def is_random(name: str, options: Mapping[str, float] | None = None) -> bool:
    """Return whether an eraser by name draws noise, by its default or the given strength."""
    return ({**options_of(name), **(options or {})}.get(_NOISE) or 0) > 0


def noiseless(options: Mapping[str, float] | None = None) -> dict[str, float]:
    """Return the options of a random eraser with which it draws no noise: the limit of queries."""
    return {**(options or {}), _NOISE: 0.0}
