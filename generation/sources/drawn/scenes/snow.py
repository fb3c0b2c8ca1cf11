"""Snow: drifts, a wood laden with it, peaks."""

import numpy as np

from generation.sources.drawn.brush import Stroke, blob, outline, placed
from generation.sources.drawn.light import cloudy, mix, noise, paler, pick, vary
from generation.sources.drawn.scenes.scenery import (
    below,
    blend,
    conifer,
    day,
    dots,
    fade,
    hills,
    ridge,
    shaded,
    sky,
    stamped,
)


def snowfield(rng: np.random.Generator, size: int) -> np.ndarray:
    """White drifts with blue shadows under a pale or a clear sky."""
    horizon = rng.uniform(0.3, 0.48)
    scene = hills(rng, day(rng, size), horizon, (190, 200, 216))
    for row in range(3):
        line = ridge(rng, size, horizon + 0.2 * row, 0.05)
        tone = fade(size, (250, 251, 255), pick(rng, ((200, 212, 234), (222, 226, 236)), 4))
        scene = blend(
            scene,
            below(line, size),
            shaded(tone, np.tanh(np.gradient(line) * size)[None, :] + noise(rng, 16, size) * 0.4, 0.07),
        )
    firs = [
        s
        for x in rng.uniform(0, 1, int(rng.integers(2, 8)))
        for s in conifer(x, horizon + 0.05, rng.uniform(0.1, 0.25), (50, 80, 66), 0.8)
    ]
    return stamped(scene, firs)


def snowy_wood(rng: np.random.Generator, size: int) -> np.ndarray:
    """Firs laden with snow while flakes fall."""
    pale, strokes = pick(rng, ((190, 202, 218), (210, 212, 220), (170, 186, 206)), 5), []
    for row in range(3):
        tone, foot = mix(pale, (44, 76, 66), 0.5 + 0.25 * row), 0.55 + 0.13 * row
        for x in np.linspace(0, 1, 8 - row) + rng.normal(0, 0.04, 8 - row):
            strokes += conifer(x, foot, rng.uniform(0.35, 0.5), tone, 0.9)
        drift = placed(blob(rng, 0, 0, 0.82, 0.02) * (1.6, 1), 0.5, foot + 0.81)
        strokes.append(Stroke(drift, mix((244, 247, 253), pale, 0.5 - 0.2 * row)))
    scene = stamped(fade(size, mix(pale, (140, 150, 170), 0.3), paler(pale, 0.5)), strokes)
    return stamped(scene, dots(rng, 160, 1.0, (252, 252, 255), 0.009))


def snow_peaks(rng: np.random.Generator, size: int) -> np.ndarray:
    """Sharp white mountains over a snowy valley."""
    scene = sky(rng, size, pick(rng, ((60, 110, 190), (110, 150, 200))), (210, 224, 240), 0.2)
    strokes = [stroke for x in rng.permutation(np.linspace(0, 1, 5)) for stroke in _peak(rng, x + rng.normal(0, 0.04))]
    valley = outline((0, 0.6), (0.3, 0.64), (0.7, 0.59), (1, 0.63), (1, 1), (0, 1))
    strokes.append(Stroke(valley, (240, 244, 252)))
    for x in rng.uniform(0, 1, 9):
        strokes += conifer(x, rng.uniform(0.66, 0.72), rng.uniform(0.08, 0.14), (40, 66, 64), 0.5)
    return shaded(stamped(scene, strokes), cloudy(rng, 5, size), 0.05)


def _peak(rng: np.random.Generator, x: float) -> list[Stroke]:
    """A mountain with a lit and a shaded flank and bare rocks."""
    y, half = rng.uniform(0.1, 0.32), rng.uniform(0.25, 0.4)
    crest = ((x, y), (x + 0.04, y + 0.16), (x - 0.02, y + 0.3), (x + 0.05, y + 0.6))
    strokes = [Stroke(outline(*crest, (x - half, 0.66)), vary(rng, (240, 244, 252), 4))]
    strokes.append(Stroke(outline(*crest, (x + half, 0.66)), vary(rng, (164, 182, 214), 6)))
    for _ in range(3):
        rock = outline((0.02, 0.1), (0.06, 0.2), (0.03, 0.22)) * rng.uniform(0.8, 1.6)
        strokes.append(Stroke(placed(rock, x + rng.normal(0, 0.03), y), (110, 112, 124)))
    return strokes


LAYOUTS = (snowfield, snowy_wood, snow_peaks)
