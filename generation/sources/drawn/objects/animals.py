"""Small animals: goldfish, ladybugs, monarch butterflies."""

import numpy as np
from PIL import Image

from generation.sources.drawn.brush import Stroke, arc, ellipse, moved, outline, picture, placed, polar, smooth, turned
from generation.sources.drawn.light import Colour, any_light, mix, pick

BLACK, WHITE = (24, 22, 24), (240, 238, 230)
FORE = outline(
    *((0.05, -0.15), (0.4, -0.55), (0.85, -0.82), (1.08, -0.8), (1.06, -0.6)),
    *((0.9, -0.35), (0.78, -0.08), (0.4, 0.05), (0.08, 0.02)),
)
HIND = outline(
    *((0.05, -0.02), (0.35, -0.08), (0.72, 0.0), (0.82, 0.25)),
    *((0.7, 0.55), (0.45, 0.72), (0.25, 0.62), (0.1, 0.35)),
)
FISH = outline(
    *((-1, 0.02), (-0.8, -0.2), (-0.3, -1), (0.25, -0.7), (0.62, -0.11)),
    *((0.62, 0.1), (0.2, 0.75), (-0.35, 1), (-0.82, 0.2)),
)


def goldfish(rng: np.random.Generator, size: int) -> Image.Image:
    """A round orange fish in profile with scales, veined fins and a split tail."""
    gold = pick(rng, ((240, 116, 20), (232, 92, 16), (246, 140, 30)), 7)
    deep = rng.uniform(0.36, 0.48)
    body = smooth(np.where(np.abs(FISH[:, 1:]) > 0.5, FISH * (1, deep), FISH))
    belly = placed(body * (0.9, 0.6), -0.03, 0.4 * deep)
    strokes = [
        *_fin(rng, (0.6, 0), (-0.75, -0.15), 0.9, gold),
        *_fin(rng, (0.6, 0), (0.15, 0.75), 0.9, gold),
        *_fin(rng, (-0.1, -0.7 * deep), (-1.6, -0.5), 0.5, gold),
        *_fin(rng, (0.3, 0.5 * deep), (0.5, 1.4), 0.4, gold),
        *(Stroke(body, gold, 170), Stroke(belly, mix(gold, (255, 226, 170), 0.5), 175)),
        *_scales(deep, gold),
        *_fin(rng, (-0.35, 0.35 * deep), (0.4, 1.5), 0.38, gold),
        *_fish_head(gold),
    ]
    flip = np.array([rng.choice((-1, 1)), 1.0])
    return picture(moved(strokes, lambda points: points * flip), any_light(rng, 0.5), size, rng.normal(0, 0.25))


def _fin(
    rng: np.random.Generator, root: tuple[float, float], fan: tuple[float, float], reach: float, gold: Colour
) -> list[Stroke]:
    """A fin from `root` between two angles, with darker rays."""
    pale = mix(gold, (255, 226, 180), 0.35)
    angles = np.linspace(fan[0], fan[1], 11)
    tips = np.stack([polar(a, reach * rng.uniform(0.85, 1.0)) for a in angles]) + root
    rays = [Stroke(np.stack([np.array(root), tip]), mix(gold, (190, 70, 10), 0.4), 105, 0.012) for tip in tips]
    return [Stroke(np.concatenate([[root], tips]), pale, 100), *rays]


def _scales(deep: float, gold: Colour) -> list[Stroke]:
    rim, strokes = mix(gold, (160, 50, 0), 0.45), []
    for column, x in enumerate(np.linspace(0.5, -0.5, 14)):
        tall = deep * (0.92 - 1.1 * (x + 0.25) ** 2)
        for y in np.arange(-tall, tall, 0.1) + 0.05 * (column % 2):
            strokes.append(Stroke(arc(x, y, 0.055, np.pi / 2, 3 * np.pi / 2, 7), rim, 185, 0.012))
    return strokes


def _fish_head(gold: Colour) -> list[Stroke]:
    return [
        Stroke(arc(-0.85, 0.02, 0.35, -0.75, 0.75, 12), mix(gold, (150, 50, 0), 0.5), 160, 0.03),
        Stroke(ellipse(-0.76, -0.07, 0.085, 0.085), (246, 220, 150), 190),
        Stroke(ellipse(-0.765, -0.07, 0.055, 0.055), BLACK, 190),
        Stroke(outline((-0.99, 0.03), (-0.93, 0.09), (-0.87, 0.09)), mix(gold, (120, 30, 0), 0.6), 160, 0.025),
    ]


BLACK, WHITE = (24, 22, 24), (240, 238, 230)


def ladybug(rng: np.random.Generator, size: int) -> Image.Image:
    """A red beetle from above: spotted wing cases, black head with pale patches, six legs."""
    red = pick(rng, ((206, 26, 20), (216, 40, 20), (190, 20, 24)), 6)
    long = rng.uniform(0.86, 1.0)
    strokes = [stroke for side in (-1, 1) for stroke in _legs(rng, side, long)]
    strokes += [
        Stroke(ellipse(0, -0.95 * long, 0.36, 0.3), BLACK, 120),
        Stroke(ellipse(0, -0.72 * long, 0.56, 0.34), BLACK, 150),
        *(Stroke(ellipse(s * 0.38, -0.8 * long, 0.13, 0.17, s * 0.5), WHITE, 150) for s in (-1, 1)),
        Stroke(ellipse(0, 0.1, 0.86, long * 0.92), mix(red, BLACK, 0.5), 175),
        Stroke(ellipse(0, 0.1, 0.82, long * 0.88), red, 190),
        Stroke(ellipse(0, 0.1, 0.5, long * 0.55), mix(red, (255, 120, 60), 0.15), 215),
        *_spots(rng, long),
        Stroke(outline((0, -0.7 * long), (0, 0.98 * long)), BLACK, 150, 0.035),
    ]
    return picture(strokes, any_light(rng, 0.5), size, rng.uniform(0, 6.3), relief=2.2)


def _legs(rng: np.random.Generator, side: int, long: float) -> list[Stroke]:
    legs = []
    for y, swing in ((-0.5, -0.5), (0.1, 0.05), (0.55, 0.55)):
        knee = np.array([side * 0.97, y * long + 0.35 * swing + rng.normal(0, 0.04)])
        foot = knee + polar(swing + rng.normal(0, 0.2), 0.22) * (side, 1)
        legs.append(Stroke(np.stack([[side * 0.5, y * long], knee, foot]), BLACK, 90, 0.07))
    feeler = np.array([[side * 0.15, -1.15 * long], [side * 0.32, -1.32 * long], [side * 0.44, -1.34 * long]])
    return [*legs, Stroke(feeler, BLACK, 100, 0.035)]


def _spots(rng: np.random.Generator, long: float) -> list[Stroke]:
    radius = rng.uniform(0.1, 0.16)
    places = [(0, -0.62), (0.42, -0.36), (0.3, 0.1), (0.6, 0.22), (0.3, 0.62)][: int(rng.integers(3, 6))]
    both = [(side * x, y) for x, y in places for side in ((-1, 1) if x else (1,))]
    return [
        Stroke(ellipse(x * 0.95, y * long + 0.08, radius * (1.15 - x * x), radius * 1.1), BLACK, 200) for x, y in both
    ]


def monarch(rng: np.random.Generator, size: int) -> Image.Image:
    """A butterfly from above: orange wings, black veins, a black rim with white dots."""
    orange = pick(rng, ((232, 118, 20), (240, 136, 30), (220, 100, 16)), 7)
    lift = rng.uniform(-0.25, 0.2)
    strokes = []
    for side in (-1, 1):
        narrow = rng.uniform(0.75, 1.0)
        wings = [*_wing(rng, HIND, lift * 0.6, orange), *_wing(rng, FORE, lift, orange)]
        strokes += moved(wings, lambda points, across=side * narrow: points * (across, 1))
    feeler = outline((0, -0.34), (0.12, -0.56), (0.22, -0.7))
    strokes += [Stroke(feeler * (side, 1), BLACK, 120, 0.022) for side in (-1, 1)]
    body = ((0.16, 0.055, 0.36), (-0.12, 0.085, 0.17), (-0.32, 0.065, 0.065))
    strokes += [Stroke(ellipse(0, y, across, down), BLACK, 195) for y, across, down in body]
    return picture(strokes, any_light(rng, 0.1), size, rng.normal(0, 0.5), relief=0.7)


def _wing(rng: np.random.Generator, shape: np.ndarray, lift: float, orange: Colour) -> list[Stroke]:
    rim = turned(smooth(shape), lift)
    root, centre = rim[0], rim.mean(axis=0)
    inner = (rim - centre) * 0.8 + centre + 0.08 * (root - centre)
    strokes = [Stroke(rim, BLACK, 110), Stroke(inner, orange, 112)]
    strokes += [
        Stroke(np.stack([root, 0.45 * (root + inner[k]) + 0.1 * centre, rim[k]]), BLACK, 118, 0.024)
        for k in range(12, len(rim) - 8, 7)
    ]
    cell = (inner - root) * 0.5 + root
    strokes.append(Stroke(np.concatenate([cell, cell[:1]]), BLACK, 118, 0.02))
    return strokes + [dot for part in (0.9, 0.965) for dot in _rim_dots(rng, (rim - centre) * part + centre)]


def _rim_dots(rng: np.random.Generator, line: np.ndarray) -> list[Stroke]:
    """White dots along the outer part of a wing's rim."""
    places = line[14:-8:3]
    radii = rng.uniform(0.012, 0.022, len(places))
    return [Stroke(ellipse(x, y, r, r, sides=8), WHITE, 115) for (x, y), r in zip(places, radii, strict=True)]


DRAWN = {1: goldfish, 301: ladybug, 323: monarch}
