"""95 % intervals for an accuracy where images share photos.

The same foreground photo stands on many backgrounds and the same background photo behind many objects, so images
are no independent draws. Both kinds of photo are resampled, each way on its own, and an image counts as often as
the product says: the pigeonhole bootstrap (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1(2),
2007). Intervals are percentiles of the resampled accuracies.

- One way is left out where it is nested in the other (each foreground photo on a single background photo, or the
  reverse): resampling the outer one covers both, resampling both would count the noise three times.
- The backgrounds themselves are fixed, so background photos are resampled within their background.
- Where every image has photos of its own, images are independent: Wilson's interval (Wilson, JASA 22, 1927). So too
  where all images are right or all wrong, because a bootstrap has nothing to vary then.
- Where both ways are resampled the noise of single images is counted up to three times (Owen, theorem 3): the
  interval errs on the wide side when neither kind of photo matters much.
- Sharing photos can only widen an interval, so none is narrower than Wilson's; a bootstrap of three photos would be.
- Fewer than `FEW_PHOTOS` photos on a resampled way make a bootstrap too narrow: say so beside the number.
"""

import math

import numpy as np

RESAMPLES = 1000
SEED = 0
LEVEL = 0.95
FEW_PHOTOS = 30
_NORMAL_QUANTILE = 1.959963984540054  # of (1 + LEVEL) / 2
_CHUNK = 1 << 20  # weights held at once


def interval(
    right: np.ndarray,
    foreground_source: np.ndarray,
    background_source: np.ndarray,
    background: np.ndarray,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> tuple[float, float]:
    """Return the 95 % interval of the accuracy over n images.

    Args:
        right: (n,) bool.
        foreground_source: (n,) int, which foreground photo.
        background_source: (n,) int, which background photo; -1 where an image uses none: it shares none.
        background: (n,) int, the background's label.
        resamples: how many bootstrap samples.
        seed: of the bootstrap. The answer depends on it and on the images, not on their order (where only some images
            lack a background photo, the order picks among equally good draws).

    Returns:
        (low, high) in [0, 1]; (NaN, NaN) for no image, and where a single photo leaves nothing to resample.
    """
    if not len(right):
        return math.nan, math.nan
    behind = _clusters(background_source, background)
    ways = _ways(foreground_source, behind)
    if not ways or right.all() or not right.any():
        return wilson(int(right.sum()), len(right))
    rng = np.random.default_rng(seed)
    counts = [_draw(way, background if way is behind else np.zeros_like(way), resamples, rng) for way in ways]
    if all((drawn == 1).all() for _, drawn in counts):
        return math.nan, math.nan
    low, high = _percentiles(_accuracies(right, counts))
    floor = wilson(int(right.sum()), len(right))
    return min(low, floor[0]), max(high, floor[1])


def wilson(right: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of `right` out of `n` independent images."""
    if n == 0:
        return math.nan, math.nan
    z2 = _NORMAL_QUANTILE**2
    centre = (right + z2 / 2) / (n + z2)
    half = _NORMAL_QUANTILE * math.sqrt(right * (n - right) / n + z2 / 4) / (n + z2)
    # At 0 and n the end is 0 or 1 exactly; rounding must not move it.
    return (0.0 if right == 0 else centre - half), (1.0 if right == n else centre + half)


def photos(source: np.ndarray) -> int:
    """Return how many different photos (n,) codes name; each -1 is a photo of its own."""
    return len(np.unique(source[source >= 0])) + int((source < 0).sum())


def _clusters(source: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Return (n,) cluster codes: photo within background, every -1 alone."""
    alone = source < 0
    own = np.where(alone, np.arange(len(source)), source)
    return np.unique(np.stack([background, alone, own]), axis=1, return_inverse=True)[1].reshape(-1)


def _ways(front: np.ndarray, behind: np.ndarray) -> list[np.ndarray]:
    """Return the cluster codes to resample: none, one way, or both."""
    pairs = len(np.unique(np.stack([front, behind]), axis=1).T)
    fronts, behinds = len(np.unique(front)), len(np.unique(behind))
    if fronts == behinds == len(front):
        return []
    if pairs == fronts:  # every foreground photo has one background photo
        return [behind]
    if pairs == behinds:
        return [front]
    return [front, behind]


def _draw(way: np.ndarray, strata: np.ndarray, resamples: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Draw how often each cluster is taken: (n,) cluster codes from 0, (resamples, clusters) counts."""
    _, first, codes = np.unique(way, return_index=True, return_inverse=True)
    stratum = strata[first]
    counts = np.empty((resamples, len(first)))
    for each in np.unique(stratum):
        members = np.flatnonzero(stratum == each)
        counts[:, members] = rng.multinomial(len(members), np.full(len(members), 1 / len(members)), size=resamples)
    return codes.reshape(-1), counts


def _accuracies(right: np.ndarray, ways: list[tuple[np.ndarray, ...]]) -> np.ndarray:
    """Return the accuracy of every resample that holds an image, in chunks so that memory stays bounded."""
    resamples, step = len(ways[0][1]), max(1, _CHUNK // len(right))
    columns = np.stack([right, np.ones(len(right))], axis=1).astype(np.float64)
    sums = np.empty((resamples, 2))
    for start in range(0, resamples, step):
        chunk = slice(start, start + step)
        weights = math.prod((counts[chunk][:, codes] for codes, counts in ways), start=np.float64(1))
        sums[chunk] = weights @ columns
    held = sums[:, 1] > 0
    return sums[held, 0] / sums[held, 1]


def _percentiles(accuracies: np.ndarray) -> tuple[float, float]:
    if not len(accuracies):
        return math.nan, math.nan
    low, high = np.quantile(accuracies, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
