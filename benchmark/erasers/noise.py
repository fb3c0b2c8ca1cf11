"""An eraser that drowns what it cannot find: projection and LEACE first, then Gaussian noise.

What LEACE leaves to a linear reader lies in directions of small spread, which few photos do not show exactly and which
a reader scales up. Noise of one strength in every direction is larger than those and smaller than what says which
object it is. It bounds what readers of any kind learn (data processing inequality), where a projection of the same
directions would have to know them.
"""

import hashlib

import numpy as np

from benchmark.erasers.linear import leace
from benchmark.erasers.nuisance import directions, without
from benchmark.erasers.registry import Map, Rows

SHARE = 0.04  # of all directions, largest within-photo spread first, are projected out
STRENGTH = 1.1  # standard deviation of the noise in every direction, in units of a feature's root mean square spread


def noise(rows: Rows, seed: int) -> tuple[Map, int]:
    """Project the largest within-photo spread out, apply LEACE to what is left, and add Gaussian noise to that.

    The noise of an image is drawn by `seed` and the bytes of its features: the same features are erased alike,
    whatever stands beside them. So it bounds what a probe learns, as independent noise does (Cover and Thomas, Elements
    of Information Theory, 2.8 and 9.1), not what one could compute who tries all features under the same seed. It has
    the rank of the projection.
    """
    centre = rows.features.mean(0, dtype=np.float64)
    gone = directions(rows, SHARE)
    project = without(centre, gone)
    clean, _ = leace(Rows(project(rows.features), rows.erase, rows.keep), seed)
    strength = np.float32(STRENGTH * np.sqrt(np.square(rows.features - centre).mean()))
    around = without(np.zeros_like(centre), gone)

    def apply(features: np.ndarray) -> np.ndarray:
        return clean(project(features)) + strength * around(_drawn(features, seed))

    return apply, len(centre) - gone.shape[1]


def _drawn(features: np.ndarray, seed: int) -> np.ndarray:
    """Return standard normal values of the shape of `features`, (m, d) float32, each row's by its own bytes."""
    drawn = np.empty_like(features)
    for row, values in zip(features, drawn, strict=True):
        entropy = int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=16).digest(), "little")
        np.random.default_rng([seed, entropy]).standard_normal(out=values, dtype=np.float32)
    return drawn
