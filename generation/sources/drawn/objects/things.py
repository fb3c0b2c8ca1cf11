"""Things of a room: clocks, umbrellas, bow ties, candles."""

import numpy as np
from PIL import Image

from generation.sources.drawn.brush import (
    Stroke,
    arc,
    box,
    ellipse,
    moved,
    outline,
    picture,
    placed,
    polar,
    ribbon,
    smooth,
)
from generation.sources.drawn.light import CLOTH, INK, PAPER, Colour, any_light, darker, mix, paler, pick, vary

RIMS: tuple[Colour, ...] = ((40, 40, 44), (180, 180, 184), (150, 100, 50), (200, 170, 90), (170, 30, 34))
WAXES: tuple[Colour, ...] = ((240, 228, 196), (200, 40, 36), (236, 206, 130), (232, 224, 206))
FLAME: tuple[Colour, ...] = ((255, 170, 40), (255, 214, 90), (255, 246, 190))
PANELS = 6


def clock(rng: np.random.Generator, size: int) -> Image.Image:
    """A round dial with minute marks and two hands at any time."""
    rim, hour = pick(rng, RIMS, 8), rng.uniform(0, 12)
    rings = ((1.0, rim, 120), (0.95, paler(rim, 0.2), 190), (0.87, vary(rng, PAPER, 5), 90))
    strokes = [Stroke(ellipse(0, 0, radius, radius, sides=64), colour, height) for radius, colour, height in rings]
    for minute in range(60):
        start, width = (0.78, 0.012) if minute % 5 else (0.7, 0.035)
        strokes.append(_ray(minute / 60, start, 0.82, width, 90))
    strokes += [_ray(hour / 12, -0.12, 0.48, 0.07, 130), _ray(hour % 1, -0.12, 0.74, 0.045, 130)]
    strokes.append(Stroke(ellipse(0, 0, 0.06, 0.06), INK, 150))
    slant = np.array([rng.uniform(0.75, 1.0), 1.0])
    return picture(moved(strokes, lambda points: points * slant), any_light(rng, 0.2), size)


def _ray(round_share: float, start: float, stop: float, width: float, height: int) -> Stroke:
    """A line away from the middle, at a share of a full round from twelve o'clock."""
    angle = (round_share - 0.25) * 2 * np.pi
    return Stroke(np.stack([polar(angle, start), polar(angle, stop)]), INK, height, width)


def umbrella(rng: np.random.Generator, size: int) -> Image.Image:
    """An open umbrella from the side: panels between ribs, a scalloped hem, a shaft with a hook."""
    cloth = [vary(rng, CLOTH[k], 8) for k in rng.permutation(len(CLOTH))[: int(rng.integers(1, 4))]]
    tall = rng.uniform(0.6, 0.85)
    shaft = np.concatenate([outline((0, -tall - 0.14), (0, 1.0)), arc(0.12, 1.0, 0.12, np.pi, 0, 10)])
    strokes = [Stroke(shaft, pick(rng, ((60, 50, 46), (150, 110, 70), (160, 160, 164)), 6), 90, 0.045)]
    angles = np.linspace(-np.pi / 2, np.pi / 2, PANELS + 1)
    angles[1:-1] += rng.uniform(-0.15, 0.15)
    for k in range(PANELS):
        left, right = (_rib(tall) * (np.sin(angle), 1) for angle in angles[k : k + 2])
        panel = np.concatenate([left, _hem(left[-1], right[-1]), right[::-1]])
        strokes.append(Stroke(panel, cloth[k % len(cloth)], 190 - 22 * abs(2 * k + 1 - PANELS)))
        strokes.append(Stroke(right, darker(cloth[0], 0.45), 150, 0.014))
    return picture(strokes, any_light(rng, 0.2), size, rng.normal(0, 0.35), relief=1.4)


def _rib(tall: float) -> np.ndarray:
    """The outermost rib (10, 2), from the tip to the hem."""
    fall = np.linspace(0, np.pi / 2, 10)
    return np.stack([np.sin(fall), -tall * np.cos(fall)], axis=1)


def _hem(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Three points between two rib ends, drawn up towards the tip."""
    sag = np.array([[0.12], [0.28], [0.12]]) * abs(right[0] - left[0]) * (0, 1)
    return left + np.array([[0.22], [0.5], [0.78]]) * (right - left) - sag


def bow_tie(rng: np.random.Generator, size: int) -> Image.Image:
    """Two gathered wings and a knot, plain, dotted or striped."""
    cloth, trim = (vary(rng, CLOTH[k], 8) for k in rng.permutation(len(CLOTH))[:2])
    pattern = (_plain, _dotted, _striped)[int(rng.integers(3))]
    half = [*_tie_wing(cloth), *pattern(trim), *_tie_folds(cloth)]
    knot = outline((-0.14, -0.17), (0.14, -0.17), (0.16, 0.0), (0.14, 0.18), (-0.14, 0.18), (-0.16, 0.0))
    strokes = [*half, *moved(half, lambda points: points * (-1, 1)), Stroke(smooth(knot), darker(cloth, 0.1), 190)]
    return picture(strokes, any_light(rng, 0.15), size, rng.normal(0, 0.15), relief=1.4)


def _tie_wing(cloth: Colour) -> list[Stroke]:
    upper = outline((0.1, -0.14), (0.5, -0.42), (0.96, -0.48), (1.0, 0.0))
    lower = outline((0.96, 0.48), (0.5, 0.42), (0.1, 0.14))
    return [Stroke(smooth(np.concatenate([upper, lower])), cloth, 140)]


def _tie_folds(cloth: Colour) -> list[Stroke]:
    """Three creases that fan out from the knot."""
    creases = [np.linspace((0.1, 0.3 * y), (reach, y), 6) for y, reach in ((-0.2, 0.7), (0.02, 0.55), (0.22, 0.65))]
    return [Stroke(ribbon(crease, np.linspace(0.07, 0.0, 6)), darker(cloth, 0.45), 90) for crease in creases]


def _plain(trim: Colour) -> list[Stroke]:
    return []


def _dotted(trim: Colour) -> list[Stroke]:
    return [Stroke(ellipse(x, y, 0.035, 0.035, sides=10), trim, 140) for x, y in _weave()]


def _striped(trim: Colour) -> list[Stroke]:
    slash = outline((-0.05, -0.07), (0.05, 0.07))
    return [Stroke(placed(slash, x, y), trim, 140, 0.03) for x, y in _weave()]


def _weave() -> list[tuple[float, float]]:
    """Places in rows that lie on a wing."""
    rows, columns = np.arange(-0.35, 0.36, 0.14), np.arange(0.25, 0.95, 0.14)
    return [(x, y) for x in columns for y in rows if abs(y) < 0.14 + 0.3 * x]


def candle(rng: np.random.Generator, size: int) -> Image.Image:
    """A wax candle that glows at the top, with drips, a wick and a flame."""
    wax, thick, tall = pick(rng, WAXES, 8), rng.uniform(0.2, 0.42), rng.uniform(0.7, 1.5)
    glow, drip = mix(wax, (255, 220, 120), 0.6), paler(wax, 0.25)
    strokes = [Stroke(ellipse(0, tall, thick, 0.08), wax, 90)]
    for part in (1.0, 0.85, 0.65, 0.4):
        shaft = box(-thick * part, 0, thick * part, tall)
        strokes.append(Stroke(shaft, mix(wax, (255, 236, 190), 0.5 - 0.5 * part), round(190 - 100 * part)))
    for x in rng.uniform(-0.85, 0.85, 4) * thick:
        strokes.append(Stroke(ellipse(x, 0.1, 0.05, rng.uniform(0.12, 0.4)), drip, 160))
    strokes.append(Stroke(ellipse(0, 0, thick, 0.1), glow, 140))
    strokes.append(Stroke(outline((0, 0), (0.02, -0.16)), INK, 140, 0.03))
    sway, reach = rng.normal(0, 0.04), rng.uniform(0.55, 0.75)
    flame = smooth(outline((0, 0.02), (-0.14, -0.14), (-0.08, -0.4), (sway, -reach), (0.08, -0.4), (0.14, -0.14)))
    strokes += [
        Stroke(placed(flame * part, 0, -0.08), ink, 128) for part, ink in zip((1, 0.8, 0.55), FLAME, strict=True)
    ]
    return picture(strokes, any_light(rng, 0.2), size)


DRAWN = {409: clock, 457: bow_tie, 470: candle, 879: umbrella}
