"""Columns of predictions for what a release varies by plan: size and place of the object, level of severity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.schemas.text import Strings

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_LEAST = 0.01  # differences of sizes and places below are rounding to pixels


def factors(
    corners: Float[np.ndarray, "n 4"] | None,
    image_size: int,
    ladders: Strings | None,
    levels: Float[np.ndarray, " n"] | None,
) -> dict[str, Any]:
    """Return those columns in which images differ: `size`, `place`, `ladder` with `severity`, each (n,).

    Args:
        corners: (n, 4) left, top, right and bottom of the pasted object in pixels, NaN where unknown; None: of all.
        image_size: side of the images in pixels.
        ladders: (n,) names; None where the recipe has no severity.
        levels: (n,) levels of severity; None as for `ladders`.
    """
    answer: dict[str, Any] = {}
    if corners is not None and len(corners) and not np.isnan(corners).any():
        found = {"size": size_of(corners, image_size), "place": place_of(corners, image_size)}
        answer = {name: values.astype(np.float32) for name, values in found.items() if _differ(values)}
    if ladders is not None and levels is not None:
        answer |= {"ladder": ladders, "severity": levels.astype(np.float32)}
    return answer


def size_of(boxes: Float[np.ndarray, "n 4"] | Int[np.ndarray, "n 4"], image_size: int) -> Float[np.ndarray, " n"]:
    """Return the side of square boxes as a share of the image's; of others that of a square of their area.

    Args:
        boxes: (n, 4) left, top, right, bottom in pixels.
        image_size: side of the images in pixels.
    """
    return np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])) / image_size


def place_of(boxes: Float[np.ndarray, "n 4"] | Int[np.ndarray, "n 4"], image_size: int) -> Float[np.ndarray, " n"]:
    """Return how far boxes are from the centre, as a share of the room that their size leaves; NaN where there is none.

    It is the distance of the box's centre from the image's along the axis where it is greater, 0 centred to 1 at the
    edge. In pixels, small boxes could be farther out than large ones: size and place could not be told apart.

    Args:
        boxes: (n, 4) left, top, right, bottom in pixels.
        image_size: side of the images in pixels.
    """
    near, far = boxes[:, :2], image_size - boxes[:, 2:]  # room on either side
    room = near + far
    offset = np.divide(np.abs(near - far), room, out=np.full(room.shape, np.nan), where=room > 0)
    return np.fmax(offset[:, 0], offset[:, 1])


def _differ(values: np.ndarray) -> bool:
    known = values[~np.isnan(values)]
    return bool(len(known)) and float(np.ptp(known)) > _LEAST
