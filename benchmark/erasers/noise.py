"""An eraser that drowns what it cannot find: projection and LEACE first, then Gaussian noise.

What LEACE leaves to a linear reader lies in directions of small spread, which few photos do not show exactly and which
a reader scales up. Noise of one strength in every direction is larger than those and smaller than what says which
object it is. It bounds what readers of any kind learn (data processing inequality), where a projection of the same
directions would have to know them.
"""

import hashlib

import numpy as np

from benchmark.erasers.linear import leace
from benchmark.erasers.nuisance import directions, spread, without
from benchmark.erasers.registry import Map, Rows, within

SHARE = 0.04  # of all directions, largest within-photo spread first, are projected out
STRENGTH = 1.1  # standard deviation of the noise in every direction, in units of a feature's root mean square spread
SHAPED = 1.0  # standard deviation of the shaped noise, in units of the spread within photos


def noise(rows: Rows, seed: int, *, share: float = SHARE, strength: float = STRENGTH) -> tuple[Map, int]:
    """Project the largest within-photo spread out, apply LEACE to what is left, and add Gaussian noise to that.

    The noise of an image is drawn by `seed` and the bytes of its features: the same features are erased alike,
    whatever stands beside them. So it bounds what a probe learns of one image, as independent noise does (Cover and
    Thomas, Elements of Information Theory, 2.8 and 9.1), not what is learnt of many images, or from many erasures of
    one (`probing.threats`). It has the rank of the projection.

    Args:
        rows: see `registry.Fit`.
        seed: of the noise.
        share: of all directions that are projected out.
        strength: standard deviation of the noise, in units of a feature's root mean square spread.
    """
    within("noise", "share", share, 0, 1)
    within("noise", "strength", strength, 0, 1e3)
    centre = rows.features.mean(0, dtype=np.float64)
    gone = directions(rows, share)
    project = without(centre, gone)
    clean, _ = leace(Rows(project(rows.features), rows.erase, rows.keep), seed)
    deviation = np.float32(strength * np.sqrt(np.square(rows.features - centre).mean()))
    around = without(np.zeros_like(centre), gone)

    def apply(features: np.ndarray) -> np.ndarray:
        return clean(project(features)) + deviation * around(drawn(features, seed))

    return apply, len(centre) - gone.shape[1]


def shaped_noise(rows: Rows, seed: int, *, strength: float = SHAPED) -> tuple[Map, int]:
    """Apply LEACE, then add Gaussian noise whose covariance is `strength`^2 that within photos: ours.

    What backgrounds make of a direction is no more than its spread within photos, so in every direction the signal of
    the background is at most 1 / `strength`^2 times the noise, and no direction is drowned that says little of it.

    Args:
        rows: see `registry.Fit`.
        seed: of the noise.
        strength: standard deviation of the noise in each direction, in units of that within photos.
    """
    within("shaped-noise", "strength", strength, 0, 1e3)
    clean, rank = leace(rows, seed)
    values, vectors = spread(Rows(clean(rows.features), rows.erase, rows.keep))
    root = (strength * np.sqrt(values) * vectors) @ vectors.T
    root = root.astype(np.float32)
    return lambda features: clean(features) + drawn(features, seed) @ root, rank


def drawn(features: np.ndarray, seed: int) -> np.ndarray:
    """Return standard normal values of the shape of `features`, (m, d) float32, each row's by its own bytes."""
    values = np.empty(features.shape, np.float32)
    for row, out in zip(np.ascontiguousarray(features), values, strict=True):
        entropy = int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), "little")
        np.random.default_rng([seed, entropy]).standard_normal(out=out, dtype=np.float32)
    return values
