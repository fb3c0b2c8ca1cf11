"""Rain: a wet street, wet country, drops on a pane."""

import numpy as np

from generation.sources.drawn.brush import Stroke, ellipse
from generation.sources.drawn.light import Colour, cloudy, darker, mix, noise, paler, pick
from generation.sources.drawn.scenes.grass import meadow
from generation.sources.drawn.scenes.road import highway, street
from generation.sources.drawn.scenes.scenery import below, blend, fade, halo, ridge, shaded, stamped, streaks

LAMPS: tuple[Colour, ...] = ((250, 210, 140), (230, 90, 70), (220, 230, 240))


def wet_street(rng: np.random.Generator, size: int) -> np.ndarray:
    """A street in the rain: grey, with a shining road and slanting streaks."""
    return _rained_on(rng, shaded(street(rng, size), noise(rng, (8, size // 5), size), 0.25, below(0.6, size)))


def wet_country(rng: np.random.Generator, size: int) -> np.ndarray:
    """Fields or an open road under rain clouds."""
    return _rained_on(rng, (meadow, highway)[int(rng.integers(2))](rng, size))


def _rained_on(rng: np.random.Generator, scene: np.ndarray) -> np.ndarray:
    """Greyed, clouded over, and streaked by rain; splashes below."""
    size = len(scene)
    grey = pick(rng, ((120, 128, 136), (104, 112, 122), (138, 142, 146)), 4)
    scene = 0.45 * scene + 0.25 * scene.mean(axis=2, keepdims=True) + 0.25 * np.array(grey, np.float32)
    heavy = shaded(fade(size, darker(grey, 0.3), paler(grey, 0.2)), cloudy(rng, 4, size), 0.3)
    scene = blend(scene, 0.8 * (1 - below(ridge(rng, size, 0.25, 0.1), size)), heavy)
    lean = rng.uniform(-0.35, 0.35)
    splashes = [
        Stroke(ellipse(x, 0.72 + 0.28 * y, 0.014, 0.005, sides=10), (206, 216, 224))
        for x, y in rng.uniform(0, 1, (40, 2))
    ]
    return stamped(scene, [*streaks(rng, 220, 0.12, lean, (214, 222, 230)), *splashes], 0.5)


def rainy_window(rng: np.random.Generator, size: int) -> np.ndarray:
    """Drops and trickles on a pane, a blurred grey town behind."""
    grey = pick(rng, ((110, 122, 134), (96, 104, 112), (130, 136, 136)), 6)
    scene = shaded(fade(size, paler(grey, 0.35), mix(grey, (20, 24, 30), 0.4)), noise(rng, (4, 9), size), 0.22)
    for x, y in rng.uniform((0, 0.5), (1, 0.9), (6, 2)).tolist():
        scene = blend(scene, 0.55 * halo(size, x, y, 0.05), pick(rng, LAMPS))
    scene = stamped(scene, _trickles(rng, paler(grey, 0.6)), 0.6)
    return stamped(scene, [stroke for x, y in rng.uniform(0, 1, (190, 2)) for stroke in _drop(rng, x, y, grey)], 0.85)


def _trickles(rng: np.random.Generator, pale: Colour) -> list[Stroke]:
    tops = rng.uniform(0, 0.9, (14, 2))
    ends = tops + rng.uniform((-0.01, 0.1), (0.01, 0.4), (14, 2))
    return [Stroke(np.stack(trail), pale, width=0.008) for trail in zip(tops, ends, strict=True)]


def _drop(rng: np.random.Generator, x: float, y: float, grey: Colour) -> list[Stroke]:
    """A drop: dark above and bright below, as it shows the world upside down."""
    radius = 0.004 + 0.014 * rng.uniform() ** 3
    shine = ellipse(x, y + 0.3 * radius, 0.75 * radius, 0.7 * radius, sides=12)
    return [Stroke(ellipse(x, y, radius, radius * 1.25, sides=12), darker(grey, 0.5)), Stroke(shine, paler(grey, 0.65))]


LAYOUTS = (wet_street, wet_country, rainy_window)
