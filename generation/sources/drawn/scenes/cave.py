"""Caves: the way out, the way in, dripstone."""

import numpy as np

from generation.sources.drawn.brush import Stroke, outline
from generation.sources.drawn.light import Colour, cloudy, darker, mix, noise, paler, pick, vary
from generation.sources.drawn.scenes.grass import meadow
from generation.sources.drawn.scenes.scenery import below, blend, day, fade, halo, plain, shaded, stamped

FLOOR = 0.86


def cave_mouth(rng: np.random.Generator, size: int) -> np.ndarray:
    """From inside a cave: dark rock around a bright way out."""
    outside = (day, meadow)[int(rng.integers(2))](rng, size) * 0.8 + 51
    rock = pick(rng, ((84, 70, 58), (70, 70, 76), (96, 76, 62)), 6)
    x, y, radius = rng.uniform(0.3, 0.7), rng.uniform(0.4, 0.55), rng.uniform(0.26, 0.36)
    walls = shaded(fade(size, rock, rock), cloudy(rng, 7, size) + 0.5 * noise(rng, 60, size), 0.4)
    walls = walls * (0.18 + 0.9 * halo(size, x, y, radius * 1.7))[..., None]
    across, down = _offsets(size, x, y)
    away = np.hypot(across, 0.85 * down) + 0.09 * cloudy(rng, 6, size)
    return blend(walls, np.clip((radius - away) * 60, 0, 1), outside)


def _offsets(size: int, x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each column (1, size) to the right of x and of each row (size, 1) below y."""
    steps = (np.arange(size, dtype=np.float32) + 0.5) / size
    return steps[None, :] - x, steps[:, None] - y


def cave_entrance(rng: np.random.Generator, size: int) -> np.ndarray:
    """A dark arch in a cliff, seen from outside."""
    rock = pick(rng, ((150, 132, 110), (128, 124, 120), (166, 136, 104)), 7)
    strata = cloudy(rng, 6, size) + 0.6 * noise(rng, (12, 60), size)
    cliff = shaded(fade(size, paler(rock, 0.15), darker(rock, 0.15)), strata, 0.3)
    cliff = plain(rng, cliff, FLOOR - 0.04, mix(rock, (90, 90, 60), 0.3), mix(rock, (60, 60, 40), 0.4), 0.3)
    across, down = _offsets(size, rng.uniform(0.35, 0.65), FLOOR)
    arch = np.hypot(across / rng.uniform(0.24, 0.36), np.minimum(down, 0) / rng.uniform(0.42, 0.6))
    arch, above = arch + 0.14 * cloudy(rng, 7, size), 1 - below(FLOOR, size)
    cliff = blend(cliff, 0.5 * np.clip((1.18 - arch) * 5, 0, 1) * above, darker(rock, 0.6))
    return blend(cliff, np.clip((1 - arch) * 12, 0, 1) * above, (14, 12, 12))


def dripstone(rng: np.random.Generator, size: int) -> np.ndarray:
    """A cavern of hanging and standing stone, lit from one place."""
    rock = pick(rng, ((150, 104, 70), (110, 100, 110), (140, 120, 90), (90, 110, 116)), 8)
    scene = shaded(fade(size, darker(rock, 0.65), darker(rock, 0.5)), cloudy(rng, 5, size), 0.5)
    strokes = []
    for depth in np.sort(rng.uniform(0.2, 1, 40)).tolist():
        long = rng.uniform(0.15, 0.5) * (0.5 + 0.5 * depth)
        root, tip = (-0.02, long) if rng.uniform() < 0.65 else (1.02, 1 - 0.75 * long)
        half = 0.015 + 0.04 * rng.uniform() * depth
        strokes += _spike(rng.uniform(), root, tip, half, mix((16, 12, 10), vary(rng, rock, 5), 0.25 + 0.75 * depth))
    scene = shaded(stamped(scene, strokes), noise(rng, (size // 8, size // 3), size), 0.2)
    return scene * (0.5 + 1.2 * halo(size, rng.uniform(0.2, 0.8), rng.uniform(0.3, 0.7), 0.45))[..., None]


def _spike(x: float, root: float, tip: float, half: float, rock: Colour) -> list[Stroke]:
    """A stone cone from `root` to `tip`, with a shaded right side."""
    waist = root + 0.4 * (tip - root)
    left, right = ((x + side * 2 * half, root) for side in (-1, 1))
    body = outline(left, (x - half, waist), (x, tip), (x + half, waist), right)
    return [
        Stroke(body, rock),
        Stroke(outline((x + 0.4 * half, waist), (x, tip), (x + half, waist), right), darker(rock, 0.4)),
    ]


LAYOUTS = (cave_mouth, cave_entrance, dripstone)
