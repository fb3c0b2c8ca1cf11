"""Plants: daisies, fly agarics, carved pumpkins."""

import numpy as np
from PIL import Image

from generation.sources.drawn.brush import (
    Stroke,
    arc,
    blob,
    ellipse,
    moved,
    outline,
    picture,
    placed,
    polar,
    ribbon,
    smooth,
)
from generation.sources.drawn.light import Colour, any_light, mix, paler, pick, vary


def daisy(rng: np.random.Generator, size: int) -> Image.Image:
    """Two rings of narrow white petals about a yellow eye, seen at a slant."""
    strokes: list[Stroke] = []
    count, width = int(rng.integers(15, 24)), rng.uniform(0.2, 0.28)
    for ring in range(2):
        for angle in (np.arange(count) + ring / 2) * 2 * np.pi / count + rng.normal(0, 0.05, count):
            strokes += _petal(rng, angle, rng.uniform(0.9, 1.0) - 0.04 * ring, width)
    eye = rng.uniform(0.26, 0.34)
    yellow = pick(rng, ((244, 190, 20), (236, 170, 14), (250, 206, 40)), 6)
    strokes.append(Stroke(ellipse(0, 0, eye, eye), mix(yellow, (120, 80, 0), 0.25), 210))
    for k in range(90):
        x, y = polar(2.4 * k, eye * 0.95 * (k / 90) ** 0.5)
        strokes.append(
            Stroke(ellipse(x, y, 0.024, 0.024, sides=8), mix(yellow, (255, 240, 120), rng.uniform(0, 0.6)), 240)
        )
    slant = np.array([1.0, rng.uniform(0.6, 1.0)])
    return picture(moved(strokes, lambda points: points * slant), any_light(rng, 0.05), size, rng.uniform(0, 6.3))


def _petal(rng: np.random.Generator, angle: float, reach: float, width: float) -> list[Stroke]:
    bend = rng.normal(0, 0.06)
    path = np.stack([polar(angle + bend * part, reach * part) for part in (0.15, 0.35, 0.6, 0.85, 0.96, 1.0)])
    white = mix((255, 255, 255), (206, 210, 226), rng.uniform(0, 0.8))
    petal = Stroke(ribbon(path, width * np.array([0.35, 0.6, 0.95, 0.9, 0.6, 0.2])), white, int(rng.integers(100, 150)))
    return [petal, Stroke(path[1:4], mix(white, (170, 176, 200), 0.5), petal.height - 10, 0.015)]


def agaric(rng: np.random.Generator, size: int) -> Image.Image:
    """A red cap with white warts on a white ringed stem."""
    white = vary(rng, (236, 228, 210), 6)
    strokes = [*_stem(rng, white), *_cap(rng, rng.uniform(0.45, 0.8))]
    return picture(strokes, any_light(rng, 0.5), size, rng.normal(0, 0.15), relief=1.6)


def _stem(rng: np.random.Generator, white: Colour) -> list[Stroke]:
    """A stem that thickens downwards, the gills under the cap, a ragged ring."""
    widths = np.interp(np.linspace(0, 1, 8), (0, 0.7, 0.85, 1), (0.26, 0.32, 0.46, 0.4))
    stem = ribbon(np.linspace((0, 0), (rng.normal(0, 0.1), 1.25), 8), widths)
    gills = [outline((0, 0), (0.93 * np.cos(angle), 0.19 * np.sin(angle))) for angle in np.linspace(0, np.pi, 40)]
    ring = smooth(outline((-0.17, 0), (0.17, 0), (0.3, 0.22), (0, 0.28), (-0.3, 0.22)))
    return [
        Stroke(stem, white, 90),
        Stroke(ellipse(0, 0, 0.95, 0.2), mix(white, (200, 180, 140), 0.5), 60),
        *(Stroke(gill, mix(white, (160, 140, 110), 0.6), 55, 0.012) for gill in gills),
        Stroke(placed(ring, 0, rng.uniform(0.35, 0.55)), paler(white, 0.5), 130),
    ]


def _cap(rng: np.random.Generator, tall: float) -> list[Stroke]:
    red = pick(rng, ((206, 30, 20), (220, 52, 20), (186, 20, 24)), 7)
    dome = np.concatenate([arc(0, 0, 1.0, np.pi, 2 * np.pi, 30) * (1, tall), arc(0, 0, 1.0, 0, np.pi, 20) * (1, 0.12)])
    strokes = [Stroke(dome, mix(red, (230, 140, 40), 0.35), 150), Stroke(dome * (0.95, 0.93) - (0, 0.02), red, 165)]
    for k in range(int(rng.integers(26, 46))):
        x, y = polar(2.4 * k + rng.normal(0, 0.2), (rng.uniform(0.0, 0.95)) ** 0.5)
        shrink = 0.45 + 0.55 * np.sqrt(1 - x * x)
        spot = blob(rng, 0, 0, rng.uniform(0.04, 0.09), 0.2) * (shrink, 0.75)
        strokes.append(
            Stroke(
                placed(spot, x * 0.95, -tall * (0.45 - 0.42 * y) * np.sqrt(1 - x * x * 0.9) - 0.02),
                vary(rng, (244, 238, 222), 5),
                230,
            )
        )
    return strokes


def jack_o_lantern(rng: np.random.Generator, size: int) -> Image.Image:
    """A ribbed orange pumpkin with a stalk and a carved face that glows or gapes."""
    skin = pick(rng, ((232, 122, 20), (220, 104, 16), (240, 138, 36)), 7)
    squat = rng.uniform(0.78, 0.98)
    strokes = [Stroke(_stalk(rng, squat), vary(rng, (104, 112, 50)), 90)]
    for x, part in sorted(((s * k * 0.27, k) for k in range(4) for s in (-1, 1)), key=lambda rib: -abs(rib[1])):
        strokes.append(
            Stroke(
                ellipse(x, 0.02 * part, 0.34, squat * (1 - 0.045 * part**1.5)),
                vary(rng, mix(skin, (150, 60, 0), 0.11 * part), 4),
                200 - 26 * part,
            )
        )
    glow = pick(rng, ((255, 216, 80), (255, 190, 40), (40, 18, 8), (250, 230, 140)), 6)
    for hole in _face(rng):
        strokes.append(Stroke(hole * 1.0, mix(skin, (120, 50, 0), 0.6), 170))
        strokes.append(Stroke((hole - hole.mean(axis=0)) * 0.86 + hole.mean(axis=0) + (0.012, 0.012), glow, 120))
    return picture(strokes, any_light(rng, 0.3), size, rng.normal(0, 0.08), relief=1.3)


def _stalk(rng: np.random.Generator, squat: float) -> np.ndarray:
    bend = rng.normal(0, 0.12)
    path = np.array([[0, -squat + 0.12], [bend * 0.3, -squat - 0.08], [bend, -squat - rng.uniform(0.16, 0.3)]])
    return ribbon(path, np.array([0.34, 0.2, 0.22]))


def _face(rng: np.random.Generator) -> list[np.ndarray]:
    """Outlines of two eyes, a nose and a toothed grin."""
    tilt, apart, wide = rng.uniform(-0.12, 0.16), rng.uniform(0.34, 0.44), rng.uniform(0.17, 0.25)
    eye = outline((-wide, 0.14), (0.3 * wide, -0.2 - tilt), (wide, 0.14 + tilt))
    nose = outline((-0.09, 0.15), (0, -0.03), (0.09, 0.15))
    return [placed(eye * (-1, 1), apart, -0.26), placed(eye, -apart, -0.26), nose, _grin(rng)]


def _grin(rng: np.random.Generator) -> np.ndarray:
    span, thick, curve = rng.uniform(0.5, 0.68), rng.uniform(0.17, 0.27), rng.uniform(0.12, 0.26)
    x = np.linspace(-1, 1, 4 * int(rng.integers(3, 6)) + 1)
    tooth = np.where(np.arange(len(x)) % 4 < 2, 0.0, rng.uniform(0.35, 0.6))
    fade = np.sqrt(np.maximum(1 - x**4, 0.02))
    upper = 0.33 - curve * x**2 + thick * fade * (tooth - 0.5)
    lower = 0.33 - curve * x**2 + thick * fade * (0.5 - np.roll(tooth, 2))
    return np.concatenate([np.stack([span * x, upper], axis=1), np.stack([span * x, lower], axis=1)[::-1]])


DRAWN = {607: jack_o_lantern, 985: daisy, 992: agaric}
