"""Grass: meadows, lawns, mown fields."""

import numpy as np

from generation.sources.drawn.brush import Stroke, blob, outline
from generation.sources.drawn.light import Colour, cloudy, darker, mix, noise, pick, vary
from generation.sources.drawn.scenes.scenery import GREEN, below, day, fade, hills, leafy, plain, shaded, stamped


def meadow(rng: np.random.Generator, size: int) -> np.ndarray:
    """Grass up to hills or trees, with flowers."""
    green, horizon = pick(rng, GREEN), rng.uniform(0.3, 0.5)
    scene = hills(rng, day(rng, size), horizon, mix(green, (40, 80, 60), 0.4))
    trees = [
        s
        for x in rng.uniform(0, 1, int(rng.integers(0, 9)))
        for s in leafy(rng, x, horizon + 0.01, rng.uniform(0.08, 0.22), mix(green, (20, 50, 20), 0.5))
    ]
    scene = plain(rng, scene, horizon, mix(green, (200, 210, 120), 0.3), green, 0.3)
    scene = shaded(scene, noise(rng, (size // 5, size // 2), size), 0.2, below(horizon + 0.06, size))
    flowers = _flowers(rng, horizon, pick(rng, ((250, 240, 240), (240, 210, 60), (220, 90, 120))))
    return stamped(scene, [*trees, *flowers[: int(rng.integers(0, 90))]])


def _flowers(rng: np.random.Generator, horizon: float, colour: Colour) -> list[Stroke]:
    places = [(rng.uniform(), horizon + 0.04 + (0.96 - horizon) * rng.uniform() ** 1.5) for _ in range(90)]
    return [Stroke(blob(rng, x, y, 0.004 + 0.014 * (y - horizon), 0.2), vary(rng, colour)) for x, y in places]


def lawn(rng: np.random.Generator, size: int) -> np.ndarray:
    """Grass seen from above: blades every way, over darker earth."""
    green = pick(rng, GREEN)
    scene = shaded(fade(size, darker(green, 0.25), darker(green, 0.25)), cloudy(rng, 5, size), 0.25)
    feet = rng.uniform(-0.05, 1.05, (420, 1, 2))
    bend = np.array([[0.0, 0.0], [0.6, 0.5], [1.0, 1.0], [0.0, 0.0]]) * rng.normal((0, -0.05), 0.035, (420, 1, 2))
    tones = [vary(rng, mix(green, (200, 230, 110), part), 6) for part in (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)]
    outlines = feet + bend + np.array([[-0.004, 0], [0, 0], [0, 0], [0.005, 0]])
    blades = [Stroke(blade, tones[k % len(tones)]) for k, blade in enumerate(outlines)]
    return stamped(scene, blades)


def pitch(rng: np.random.Generator, size: int) -> np.ndarray:
    """A mown field in stripes of two greens before a line of trees."""
    green, horizon = pick(rng, GREEN), rng.uniform(0.25, 0.42)
    scene = plain(rng, day(rng, size), horizon, mix(green, (190, 200, 120), 0.2), green, 0.2)
    aim, stripes = rng.uniform(0.3, 0.7), []
    for k in range(-12, 13, 2):
        edges = (
            (aim + 0.02 * k, horizon),
            (aim + 0.02 * (k + 1), horizon),
            (aim + 0.3 * (k + 1), 1),
            (aim + 0.3 * k, 1),
        )
        stripes.append(Stroke(outline(*edges), mix(green, (230, 245, 140), 0.35)))
    scene = stamped(scene, stripes, 0.5)
    woods = [
        s
        for x in np.linspace(0, 1, 16)
        for s in leafy(rng, x + rng.normal(0, 0.02), horizon + 0.01, rng.uniform(0.12, 0.2), (50, 86, 40))
    ]
    return shaded(stamped(scene, woods), noise(rng, (size // 4, size // 2), size), 0.13, below(horizon, size))


LAYOUTS = (meadow, lawn, pitch)
