"""Drawable classes, and drawing of instance i of a class."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from generation.sources.drawn.objects import animals, fruit, games, garden, things, vehicles, wayside

Drawing = Callable[[np.random.Generator, int], Image.Image]

THEMES = (animals, fruit, games, garden, things, vehicles, wayside)
DRAWINGS: dict[int, Drawing] = {index: drawing for theme in THEMES for index, drawing in theme.DRAWN.items()}
CLASSES: tuple[int, ...] = tuple(sorted(DRAWINGS))


def draw_foreground(foreground: int, instance: int, size: int) -> Image.Image:
    """Draw one object tightly into an RGBA square of `size` px; alpha is its mask.

    `foreground` is an ImageNet-1k index, `instance` a number from 0 that settles shape, pose, colour and light. The
    same three numbers always give the same bytes. Raises ValueError for a class without a drawing.
    """
    if foreground not in DRAWINGS:
        raise ValueError(f"no drawing for class {foreground!r}: expected one of {', '.join(map(str, CLASSES))}")
    return DRAWINGS[foreground](np.random.default_rng([foreground, instance]), size)
