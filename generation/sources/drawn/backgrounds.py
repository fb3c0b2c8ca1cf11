"""Drawable backgrounds, and drawing of template i of a background."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from generation.sources.drawn.scenes import cave, forest, grass, indoors, night, rain, road, shore, snow
from generation.sources.drawn.scenes.scenery import finished

Layout = Callable[[np.random.Generator, int], np.ndarray]

LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "grass": grass.LAYOUTS,
    "road": road.LAYOUTS,
    "forest": forest.LAYOUTS,
    "water": shore.WATER,
    "sand": shore.SAND,
    "indoors": indoors.LAYOUTS,
    "snow": snow.LAYOUTS,
    "rain": rain.LAYOUTS,
    "night": night.LAYOUTS,
    "cave": cave.LAYOUTS,
}
BACKGROUNDS: tuple[str, ...] = tuple(LAYOUTS)


def draw_background(background: str, template: int, size: int) -> Image.Image:
    """Draw one scene into an RGB square of `size` px.

    `template`, a number from 0, settles everything: its remainder picks the layout, the whole of it palette, places
    and texture. The same three values always give the same bytes. Raises ValueError for a background unknown here.
    """
    if background not in LAYOUTS:
        raise ValueError(f"no drawing for background {background!r}: expected one of {', '.join(BACKGROUNDS)}")
    layouts = LAYOUTS[background]
    rng = np.random.default_rng([BACKGROUNDS.index(background), template])
    return finished(rng, layouts[template % len(layouts)](rng, size))
