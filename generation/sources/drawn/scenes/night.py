"""Night: moonlight, a lit skyline, street lamps."""

import numpy as np

from generation.sources.drawn.brush import Stroke, blob, box, ellipse, outline
from generation.sources.drawn.light import Colour, mix, noise, pick, vary
from generation.sources.drawn.scenes.road import highway
from generation.sources.drawn.scenes.scenery import below, blend, conifer, dots, fade, halo, ridge, shaded, stamped

DARK: tuple[Colour, ...] = ((8, 10, 30), (10, 14, 40), (18, 12, 34))
LIT: tuple[Colour, ...] = ((255, 214, 120), (250, 236, 190), (180, 210, 240))
LAMPLIGHT = np.array([1.0, 0.8, 0.45], np.float32)


def moonlight(rng: np.random.Generator, size: int) -> np.ndarray:
    """A moon and stars over dark hills, at times with firs."""
    top, x, y = pick(rng, DARK, 3), rng.uniform(0.12, 0.88), rng.uniform(0.1, 0.25)
    scene = stamped(fade(size, top, mix(top, (70, 90, 140), 0.6)), dots(rng, 130, 0.6, (230, 234, 250), 0.005))
    scene = stamped(blend(scene, 0.35 * halo(size, x, y, 0.22), (190, 200, 230)), _moon(rng, x, y))
    for row in range(3):
        hill = below(ridge(rng, size, 0.55 + 0.14 * row, 0.08), size)
        scene = blend(scene, hill, mix((30, 40, 62), (6, 8, 14), row / 2))
    firs = []
    for foot in rng.uniform(0, 1, int(rng.integers(0, 10))):
        firs += conifer(foot, 0.95, rng.uniform(0.15, 0.35), (8, 12, 14))
    return stamped(scene, firs) if firs else scene


def _moon(rng: np.random.Generator, x: float, y: float) -> list[Stroke]:
    radius = rng.uniform(0.045, 0.085)
    craters = rng.normal((x, y), 0.35 * radius, (4, 2)).tolist()
    spots = [Stroke(blob(rng, left, top, 0.2 * radius), (206, 204, 192)) for left, top in craters]
    return [Stroke(ellipse(x, y, radius, radius), (240, 238, 220)), *spots]


def city_lights(rng: np.random.Generator, size: int) -> np.ndarray:
    """A skyline of lit windows above the water that mirrors it."""
    top, foot = pick(rng, DARK, 3), rng.uniform(0.66, 0.8)
    strokes, x = dots(rng, 40, 0.4, (220, 224, 240), 0.004), -0.02
    while x < 1:
        wide = rng.uniform(0.08, 0.17)
        strokes += _tower(rng, x, foot - rng.uniform(0.15, 0.5), wide, foot)
        x += wide
    scene = stamped(fade(size, top, mix(top, (120, 80, 90), 0.5)), strokes)
    mirrored = np.abs(2 * round(foot * size) - np.arange(size) - 1).clip(0, size - 1)
    return blend(scene, below(foot, size), shaded(scene[mirrored] * 0.45, noise(rng, (size // 3, 12), size), 0.4))


def _tower(rng: np.random.Generator, left: float, roof: float, wide: float, foot: float) -> list[Stroke]:
    """A dark tower block with two windows in five lit."""
    columns = np.arange(left + 0.012, left + wide - 0.012, 0.025)
    panes = [(x, y) for x in columns for y in np.arange(roof + 0.02, foot - 0.02, 0.034) if rng.uniform() < 0.4]
    windows = [Stroke(box(x, y, x + 0.013, y + 0.016), pick(rng, LIT)) for x, y in panes]
    return [Stroke(box(left, roof, left + wide, foot), vary(rng, (20, 20, 32), 5)), *windows]


def street_lamps(rng: np.random.Generator, size: int) -> np.ndarray:
    """A dark road under a row of glowing lamps."""
    scene = highway(rng, size) * np.array([0.13, 0.15, 0.22], np.float32)
    side, strokes = int(rng.choice((-1, 1))), []
    for depth in (1.0, 0.62, 0.4, 0.27):
        x, y, foot = 0.5 + side * 0.46 * depth, 0.5 - 0.42 * depth, 0.5 + 0.3 * depth
        head = x - side * 0.11 * depth
        strokes.append(Stroke(outline((x, foot), (x, y), (head, y - 0.02 * depth)), (34, 34, 40), width=0.016 * depth))
        strokes.append(Stroke(ellipse(head, y, 0.03 * depth, 0.014 * depth), (255, 236, 180)))
        glow = 230 * halo(size, head, y, 0.09 * depth) + 70 * halo(size, 2 * head - x, foot, 0.2 * depth)
        scene = scene + glow[..., None] * LAMPLIGHT
    return stamped(scene, strokes)


LAYOUTS = (moonlight, city_lights, street_lamps)
