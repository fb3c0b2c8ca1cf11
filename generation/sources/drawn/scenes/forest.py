"""Forests: among trunks, firs in mist, a wall of leaves."""

import numpy as np

from generation.sources.drawn.brush import Stroke, blob, box, outline
from generation.sources.drawn.light import Colour, cloudy, darker, mix, noise, paler, pick, vary
from generation.sources.drawn.scenes.scenery import GREEN, conifer, fade, plain, shaded, stamped


def trunks(rng: np.random.Generator, size: int) -> np.ndarray:
    """Among tall trunks: bright haze behind, leaf litter below."""
    green, floor = pick(rng, GREEN), pick(rng, ((120, 90, 54), (86, 100, 46), (104, 76, 50)))
    bark = pick(rng, ((92, 72, 56), (74, 62, 54), (120, 104, 88)))
    scene = fade(size, mix(green, (20, 50, 20), 0.4), mix(green, (220, 236, 170), 0.5))
    scene = shaded(scene, cloudy(rng, 9, size), 0.35)
    scene = plain(rng, scene, rng.uniform(0.55, 0.68), mix(floor, green, 0.4), floor, 0.4)
    strokes = []
    for depth in np.sort(rng.uniform(0, 1, int(rng.integers(9, 18)))).tolist():
        strokes += _trunk(rng.uniform(), depth, mix(mix(green, (200, 220, 170), 0.3), bark, 0.35 + 0.65 * depth))
    strokes += _leaves(rng, 80, 0.26, mix(green, (180, 220, 90), 0.2))
    return shaded(stamped(scene, strokes), noise(rng, (size // 12, size // 2), size), 0.12)


def _trunk(x: float, depth: float, bark: Colour) -> list[Stroke]:
    """A trunk with roots and a shaded side; nearer ones (`depth` up to 1) are thicker and stand lower."""
    half, foot = 0.0075 + 0.045 * depth**2, 0.64 + 0.36 * depth**1.5
    left, right = ((x + side * 0.8 * half, -0.1) for side in (-1, 1))
    roots = ((x + half, foot), (x + 2 * half, foot + 0.03), (x - 2 * half, foot + 0.03), (x - half, foot))
    shade = outline((x + 0.6 * half, -0.1), (x + 0.7 * half, foot))
    return [Stroke(outline(left, right, *roots), bark), Stroke(shade, darker(bark, 0.35), width=0.5 * half)]


def _leaves(rng: np.random.Generator, count: int, bottom: float, green: Colour) -> list[Stroke]:
    """Leaves of many greens, scattered down to `bottom`."""
    places, tones = rng.uniform(0, (1, bottom), (count, 2)).tolist(), rng.uniform(-0.4, 0.6, count).tolist()
    radii = rng.uniform(0.014, 0.038, count).tolist()
    return [
        Stroke(blob(rng, x, y, radius, 0.35), vary(rng, mix(green, (210, 230, 100), tone), 8))
        for (x, y), radius, tone in zip(places, radii, tones, strict=True)
    ]


def firs(rng: np.random.Generator, size: int) -> np.ndarray:
    """Rows of firs that fade into mist."""
    green, mist = pick(rng, ((36, 76, 48), (50, 84, 44), (30, 66, 60))), pick(rng, ((196, 210, 206), (214, 214, 196)))
    strokes = []
    for row in range(4):
        for x in np.linspace(-0.05, 1.05, 15 - 2 * row) + rng.normal(0, 0.03, 15 - 2 * row):
            tall, tone = rng.uniform(0.28, 0.4) + 0.05 * row, mix(mist, vary(rng, green, 5), 0.3 + 0.22 * row)
            strokes += conifer(x, 0.5 + 0.12 * row + rng.normal(0, 0.015), tall, tone)
        strokes.append(Stroke(box(-0.1, 0.47 + 0.12 * row, 1.1, 1.1), mix(mist, green, 0.3 + 0.2 * row)))
    return shaded(stamped(fade(size, paler(mist, 0.3), mist), strokes), noise(rng, size // 4, size), 0.2)


def thicket(rng: np.random.Generator, size: int) -> np.ndarray:
    """A wall of leaves with a few boughs, sunlit spots and dark gaps."""
    green, strokes = pick(rng, GREEN), []
    scene = shaded(fade(size, darker(green, 0.55), darker(green, 0.7)), cloudy(rng, 6, size), 0.4)
    for x in rng.uniform(0, 1, 6):
        bough = outline((x, 1.1), (x + rng.normal(0, 0.1), 0.5), (x + rng.normal(0, 0.25), -0.1))
        strokes.append(Stroke(bough, (70, 54, 42), width=rng.uniform(0.015, 0.06)))
    return stamped(scene, [*strokes, *_leaves(rng, 250, 1.0, green)])


LAYOUTS = (trunks, firs, thicket)
