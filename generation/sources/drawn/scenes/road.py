"""Roads: a highway, a town street, tarmac from above."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from generation.sources.drawn.brush import Stroke, outline, placed
from generation.sources.drawn.light import Colour, cloudy, darker, mix, noise, pick, vary
from generation.sources.drawn.scenes.scenery import day, fade, hills, plain, shaded, stamped

BRICK: tuple[Colour, ...] = ((170, 110, 90), (200, 184, 156), (150, 150, 156), (190, 140, 100))


def highway(rng: np.random.Generator, size: int) -> np.ndarray:
    """An empty road to the horizon between fields."""
    horizon, verge = rng.uniform(0.32, 0.5), pick(rng, ((110, 136, 60), (176, 150, 96), (140, 140, 80)))
    scene = hills(rng, day(rng, size), horizon, mix(verge, (60, 80, 100), 0.5))
    scene = plain(rng, scene, horizon, verge, mix(verge, (60, 70, 30), 0.2), 0.3)
    return stamped(scene, _carriageway(rng, horizon, rng.uniform(0.35, 0.65)))


def _carriageway(rng: np.random.Generator, horizon: float, aim: float) -> list[Stroke]:
    """Tarmac, edge lines and a broken middle line that run to a point on the horizon."""
    tarmac, middle, half = (
        pick(rng, ((92, 92, 96), (70, 72, 78), (116, 112, 108)), 5),
        rng.uniform(0.35, 0.65),
        rng.uniform(0.5, 0.8),
    )

    def across(part: float, depth: float) -> tuple[float, float]:
        return aim + (middle - aim + half * part) * depth, horizon + (1.02 - horizon) * depth

    def strip(left: float, right: float, near: float, far: float, colour: Colour) -> Stroke:
        return Stroke(outline(across(left, far), across(right, far), across(right, near), across(left, near)), colour)

    white, yellow = (232, 232, 228), pick(rng, ((236, 190, 60), (232, 232, 228)), 5)
    edges = [strip(side * 0.9 - 0.015, side * 0.9 + 0.015, 1, 0.005, white) for side in (-1, 1)]
    dashes = [strip(-0.02, 0.02, 1 / (k + 0.55), 1 / (k + 1.0), yellow) for k in np.arange(0.45, 14, 0.9)]
    return [strip(-1, 1, 1, 0.003, tarmac), *edges, *dashes]


def street(rng: np.random.Generator, size: int) -> np.ndarray:
    """A town street: house fronts on both sides, pavements, a marked road."""
    horizon, aim = rng.uniform(0.4, 0.52), rng.uniform(0.4, 0.6)
    scene = plain(rng, day(rng, size), horizon, (150, 148, 144), (168, 164, 158), 0.1)
    strokes = [s for side in (0, 1) for s in _house_row(rng, side, aim, horizon)]
    return shaded(stamped(scene, [*strokes, *_carriageway(rng, horizon, aim)]), cloudy(rng, 12, size), 0.06)


def _house_row(rng: np.random.Generator, side: int, aim: float, horizon: float) -> list[Stroke]:
    """House fronts from the near end at one side of the picture to the vanishing point, with windows."""
    strokes = []
    for near, far in pairwise((1.0, 0.62, 0.4, 0.26, 0.17, 0.11)):
        tall = rng.uniform(0.45, 0.82)

        def front(u: float, v: float, near: float = near, far: float = far, tall: float = tall) -> tuple[float, float]:
            """The point a share u along the front and v down it."""
            depth = near + (far - near) * u
            return aim + (side - aim) * depth, horizon + depth * ((0.3 + tall) * v - tall)

        strokes.append(Stroke(_pane(front, 0, 0, 1, 1), pick(rng, BRICK, 10)))
        panes = [_pane(front, u, v, 0.16, 0.15) for u in (0.15, 0.45, 0.75) for v in (0.12, 0.38, 0.64)]
        strokes += [Stroke(pane, vary(rng, (66, 76, 90), 12)) for pane in panes]
    return strokes


def _pane(
    front: Callable[[float, float], tuple[float, float]], u: float, v: float, wide: float, tall: float
) -> np.ndarray:
    return outline(front(u, v), front(u + wide, v), front(u + wide, v + tall), front(u, v + tall))


def tarmac(rng: np.random.Generator, size: int) -> np.ndarray:
    """A road from above: asphalt, painted lines, cracks."""
    grey = pick(rng, ((98, 98, 100), (78, 80, 86), (120, 118, 114)), 6)
    scene = shaded(shaded(fade(size, grey, grey), noise(rng, size // 2, size), 0.16), cloudy(rng, 4, size), 0.14)
    strokes, x = [], rng.uniform(0.25, 0.75)
    lean = rng.uniform(-0.2, 0.2)
    for y in np.arange(-0.1, 1.1, 0.34):
        strokes.append(Stroke(outline((x + lean * y, y), (x + lean * (y + 0.2), y + 0.2)), (230, 228, 220), width=0.03))
    for offset in (-0.62, -0.58, 0.6):
        strokes.append(Stroke(outline((x + offset, -0.1), (x + offset + 1.2 * lean, 1.1)), (228, 186, 60), width=0.02))
    steps = rng.normal((0.05, 0.045 * rng.choice((-1, 1))), 0.025, (16, 2))
    crack = placed(np.cumsum(steps, axis=0), 0, 0.5)
    return stamped(scene, [*strokes, Stroke(crack, darker(grey, 0.5), width=0.006)])


LAYOUTS = (highway, street, tarmac)
