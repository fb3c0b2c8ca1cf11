"""Vehicles: school buses and hot-air balloons."""

import numpy as np
from PIL import Image

from generation.sources.drawn.brush import Stroke, box, ellipse, outline, picture
from generation.sources.drawn.light import Colour, any_light, mix, paler, pick, vary
from generation.sources.drawn.objects.letters import lettering

BLACK, GLASS = (28, 28, 30), (52, 62, 74)

ENVELOPE = (0.08, 0.22, 0.48, 0.8, 0.95, 0.86, 0.56, 0.27, 0.17)
PAINTS: tuple[Colour, ...] = (
    (210, 40, 40),
    (240, 190, 40),
    (40, 90, 180),
    (40, 150, 90),
    (240, 120, 30),
    (120, 60, 150),
    (236, 236, 230),
    (60, 170, 210),
)


def school_bus(rng: np.random.Generator, size: int) -> Image.Image:
    """A yellow bus at a slant: dark windows, black rub rails, bonnet, grille, warning lamps."""
    yellow = pick(rng, ((248, 178, 20), (242, 164, 14), (250, 190, 40)), 5)
    slide, flip = rng.uniform(0.2, 0.4), int(rng.choice((-1, 1)))
    strokes = [_foreshorten(s, slide, flip) for s in (*_bus_side(rng, yellow), *_bus_front(rng, yellow))]
    strokes += lettering("SCHOOL BUS", flip * -0.575, -0.79, 0.92, 0.12, 0.028, BLACK, 150)
    return picture(strokes, any_light(rng, 0.2), size, relief=0.8)


def _foreshorten(stroke: Stroke, slide: float, flip: int) -> Stroke:
    """The side (x > 0) recedes: it shrinks towards the far end."""
    x, y = stroke.points.T
    depth = 1 / (1 + slide * np.maximum(x, 0) / 2)
    points = np.stack([flip * x * depth, (y - 0.1) * depth], axis=1)
    return Stroke(points, stroke.colour, stroke.height, stroke.width * float(depth.mean()))


def _bus_side(rng: np.random.Generator, yellow: Colour) -> list[Stroke]:
    long = rng.uniform(2.2, 3.0)
    shade = mix(yellow, (120, 70, 0), 0.22)
    strokes = [Stroke(box(0, 0.72, long, 0.82), BLACK, 80), Stroke(box(0, -0.8, long, 0.75), shade, 120)]
    strokes.append(Stroke(outline((0, -0.8), (0.1, -0.9), (long - 0.1, -0.9), (long, -0.8)), paler(shade, 0.25), 120))
    panes = int(rng.integers(6, 9))
    for left in np.linspace(0.15, long - 0.1, panes, endpoint=False):
        pane = (long - 0.25) / panes
        strokes.append(Stroke(box(left, -0.62, left + pane * 0.86, -0.1), BLACK, 112))
        strokes.append(Stroke(box(left + 0.03, -0.58, left + pane * 0.86 - 0.03, -0.14), vary(rng, GLASS, 10), 105))
        strokes.append(Stroke(box(left + 0.03, -0.38, left + pane * 0.86 - 0.03, -0.35), BLACK, 112))
    strokes += [Stroke(box(0, y, long, y + 0.05), BLACK, 150) for y in (0.0, 0.24, 0.5)]
    return strokes + [stroke for x in (0.4, long - 0.6) for stroke in _wheel(x)]


def _wheel(x: float) -> list[Stroke]:
    rings = ((0.36, (20, 20, 20), 70), (0.29, BLACK, 140), (0.17, (150, 150, 150), 110), (0.07, (90, 90, 90), 140))
    return [Stroke(ellipse(x, 0.78, r * 0.9, r), colour, height) for r, colour, height in rings]


def _bus_front(rng: np.random.Generator, yellow: Colour) -> list[Stroke]:
    dark, lamp = mix(yellow, (90, 50, 0), 0.35), (200, 30, 24)
    return [
        Stroke(box(-1.0, 0.62, -0.7, 1.05), (22, 22, 22), 70),
        Stroke(box(-1.15, -0.8, 0, 0.72), yellow, 140),
        Stroke(outline((-1.15, -0.78), (-0.95, -1.02), (-0.2, -1.02), (0, -0.78)), yellow, 150),
        Stroke(box(-1.06, -0.56, -0.09, 0.02), BLACK, 135),
        Stroke(box(-1.03, -0.53, -0.6, -0.01), vary(rng, GLASS, 12), 128),
        Stroke(box(-0.55, -0.53, -0.12, -0.01), vary(rng, GLASS, 12), 128),
        Stroke(box(-0.94, 0.1, -0.2, 0.62), paler(yellow, 0.1), 190),
        *(Stroke(box(-0.84, y, -0.3, y + 0.035), dark, 170) for y in np.arange(0.2, 0.5, 0.07)),
        *(Stroke(ellipse(x, 0.44, 0.09, 0.09), (244, 244, 230), 215) for x in (-1.04, -0.11)),
        *(
            Stroke(ellipse(x, -0.84, 0.07, 0.07), colour, 200)
            for x, colour in ((-0.98, lamp), (-0.84, (250, 150, 20)), (-0.31, (250, 150, 20)), (-0.17, lamp))
        ),
        Stroke(box(-1.2, 0.66, 0.04, 0.84), (30, 30, 32), 200),
    ]


def balloon(rng: np.random.Generator, size: int) -> Image.Image:
    """A hot-air balloon: gores in two to four colours, at times with a zigzag belt, and a basket on ropes."""
    levels = np.linspace(-1, 1.05, 14)
    widths = np.interp(levels, (-1, -0.96, -0.85, -0.6, -0.2, 0.2, 0.6, 0.9, 1.05), ENVELOPE)
    paints = rng.permutation(np.array(PAINTS))[: int(rng.integers(2, 5))]
    slices, belt = int(rng.integers(11, 18)), int(rng.integers(2, 12))
    seams = np.clip((np.arange(slices + 1) - rng.uniform()) / slices * np.pi - np.pi / 2, -np.pi / 2, np.pi / 2)
    strokes = _basket(rng)
    for k in range(slices):
        left, right = (np.stack([widths * np.sin(seam), levels], axis=1) for seam in seams[k : k + 2])
        facing = round(200 * np.cos((seams[k] + seams[k + 1]) / 2) ** 0.5)
        colour = vary(rng, tuple(paints[k % len(paints)].tolist()), 6)
        strokes.append(Stroke(np.concatenate([left, right[::-1]]), colour, facing))
        other = tuple(paints[(k + 1) % len(paints)].tolist())
        strokes.append(Stroke(np.concatenate([left[belt : belt + 3], right[belt : belt + 3][::-1]]), other, facing))
    return picture(strokes, any_light(rng, 0.1), size, rng.normal(0, 0.06), relief=1.2)


def _basket(rng: np.random.Generator) -> list[Stroke]:
    wicker = vary(rng, (120, 78, 42), 8)
    ropes = [Stroke(outline((x * 1.3, 1.0), (x, 1.4)), (60, 50, 44), 80, 0.014) for x in np.linspace(-0.12, 0.12, 4)]
    weave = [
        Stroke(outline((-0.13, y), (0.13, y)), mix(wicker, (40, 20, 0), 0.4), 120, 0.012) for y in (1.44, 1.49, 1.54)
    ]
    return [*ropes, Stroke(outline((-0.14, 1.38), (0.14, 1.38), (0.12, 1.6), (-0.12, 1.6)), wicker, 120), *weave]


DRAWN = {417: balloon, 779: school_bus}
