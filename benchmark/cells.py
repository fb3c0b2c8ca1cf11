"""Images as cells: how many, and what they add up to, for each foreground photo, background photo and group."""

from dataclasses import dataclass

import numpy as np

from benchmark.groups import clusters, distinct


@dataclass(frozen=True, eq=False)
class Way:
    """One kind of photo: (c,) `code` of each cell, (photos,) first and one-past-last code of each photo's stratum."""

    code: np.ndarray
    start: np.ndarray
    stop: np.ndarray


@dataclass(frozen=True, eq=False)
class Cells:
    """n values as c cells: (c,) `group`, `total` of the values and `size`; `groups` counts the groups."""

    front: Way
    behind: Way
    group: np.ndarray
    total: np.ndarray
    size: np.ndarray
    groups: int


def cells(
    values: np.ndarray,
    foreground_source: np.ndarray,
    background_source: np.ndarray,
    background: np.ndarray,
    group: np.ndarray,
    groups: int,
) -> Cells:
    """Gather n images into cells.

    Args:
        values: (n,) numbers: right or wrong, or a difference.
        foreground_source: (n,) int, which foreground photo.
        background_source: (n,) int, which background photo; -1 where an image uses none.
        background: (n,) int, the background's label.
        group: (n,) int in 0..groups-1; images with -1 are left out.
        groups: how many groups.
    """
    kept = group >= 0
    behind = clusters(background_source[kept], background[kept])
    front = np.unique(foreground_source[kept], return_inverse=True)[1].reshape(-1)
    stratum = np.zeros(behind.max(initial=-1) + 1, dtype=np.int64)
    stratum[behind] = background[kept]
    (fronts, behinds, own), cell = distinct(front, behind, group[kept])
    return Cells(
        front=_way(fronts, np.zeros(front.max(initial=-1) + 1, dtype=np.int64)),
        behind=_way(behinds, stratum),
        group=own,
        total=np.bincount(cell, weights=values[kept], minlength=len(own)),
        size=np.bincount(cell, minlength=len(own)).astype(np.float64),
        groups=groups,
    )


def _way(code: np.ndarray, stratum: np.ndarray) -> Way:
    return Way(code, np.searchsorted(stratum, stratum), np.searchsorted(stratum, stratum, side="right"))
