"""Fruit: citrus whole and cut, strawberries."""

import numpy as np
from PIL import Image

from generation.sources.drawn.brush import Stroke, outline, picture, placed, polar, ribbon, smooth, turned
from generation.sources.drawn.light import Colour, Light, any_light, cloudy, lit, mix, noise, paler, pick, to_rgba, vary
from generation.sources.drawn.objects.solid import (
    along_steps,
    arranged,
    edge,
    grid,
    lathe,
    painted,
    roughened,
    seen,
    sphere,
    spin,
    studs,
)

LEMON = (0.04, 0.12, 0.2, 0.36, 0.55, 0.66, 0.72, 0.75, 0.75, 0.72, 0.66, 0.55, 0.38, 0.22, 0.17, 0.06)
BERRY = (0.0, 0.42, 0.62, 0.74, 0.79, 0.8, 0.77, 0.71, 0.63, 0.55, 0.46, 0.37, 0.28, 0.18, 0.0)


def orange(rng: np.random.Generator, size: int) -> Image.Image:
    """One or two oranges with pored peel, at times with a cut half in front."""
    peel = pick(rng, ((240, 136, 20), (246, 148, 30), (230, 122, 16)), 6)
    light = any_light(rng, 0.25)
    whole = [_orange(rng, size, peel, light) for _ in range(int(rng.integers(1, 3)))]
    return _served(rng, size, whole, _half(rng, size, peel, (250, 168, 40), light))


def lemon(rng: np.random.Generator, size: int) -> Image.Image:
    """One or two lemons with a nub at each end, at times with a cut half in front."""
    peel = pick(rng, ((255, 206, 30), (252, 198, 16), (255, 214, 56)), 6)
    light = any_light(rng, 0.25)
    whole = [_lemon(rng, size, peel, light) for _ in range(int(rng.integers(1, 3)))]
    return _served(rng, size, whole, _half(rng, size, peel, (246, 232, 130), light))


def _orange(rng: np.random.Generator, size: int, peel: Colour, light: Light) -> Image.Image:
    normals, alpha = sphere(size)
    pole = seen(normals, spin(rng))[2]
    stem = edge(pole - 0.985 + 0.01 * noise(rng, 24, size), 0.01)
    colours = painted(mix(peel, (250, 200, 60), 0.1), (0.5 + 0.5 * cloudy(rng, 4, size), peel), (stem, (90, 96, 30)))
    return to_rgba(lit(colours, roughened(normals, noise(rng, size // 4, size), 0.18), light), alpha)


def _lemon(rng: np.random.Generator, size: int, peel: Colour, light: Light) -> Image.Image:
    body = lathe(LEMON, rng.uniform(2.1, 2.5), rng.uniform(0, 2 * np.pi), size)
    green = edge(body.along - 0.9, 0.2) * 0.4
    colours = painted(
        mix(peel, (255, 236, 110), 0.2), (0.5 + 0.5 * cloudy(rng, 4, size), peel), (green, (190, 180, 40))
    )
    return to_rgba(lit(colours, roughened(body.normals, noise(rng, size // 5, size), 0.12), light), body.alpha)


def _half(rng: np.random.Generator, size: int, peel: Colour, flesh: Colour, light: Light) -> Image.Image:
    """A cut face: peel, white pith, and segments parted by thin walls."""
    x, y = grid(size)
    radius, angle = np.hypot(x, y), np.arctan2(y, x) + 0.06 * noise(rng, 6, size)
    segments = int(rng.integers(8, 12))
    wall = np.abs((angle / (2 * np.pi) * segments + rng.uniform()) % 1 - 0.5) * radius * 2 * np.pi / segments
    inside = edge(0.84 - radius, 0.03) * edge(wall - 0.018, 0.02) * edge(radius - 0.08, 0.04)
    juice, pulp = paler(flesh, 0.25), 0.5 + 0.5 * noise(rng, size // 6, size)
    colours = painted(peel, (edge(0.95 - radius, 0.02), (250, 242, 214)), (inside, flesh), (inside * pulp, juice))
    flat = np.stack([0.25 * x, 0.25 * y, np.ones_like(x)])
    return to_rgba(
        lit(colours, roughened(flat, noise(rng, size // 6, size) * inside, 0.3), light), edge(1 - radius, 2 / size)
    )


def _served(rng: np.random.Generator, size: int, whole: list[Image.Image], half: Image.Image) -> Image.Image:
    places = [(0.0, 0.0), (rng.choice((-1, 1)) * rng.uniform(1.3, 1.7), rng.uniform(-0.4, 0.4))]
    parts = [(fruit, x, y, 1.0) for fruit, (x, y) in zip(whole, places, strict=False)]
    if rng.uniform() < 0.65:
        parts.append((half, rng.uniform(-0.9, 0.9), rng.uniform(0.5, 0.9), rng.uniform(0.75, 0.9)))
    return arranged(parts, size)


def strawberry(rng: np.random.Generator, size: int) -> Image.Image:
    """One or two red berries with seeds in rows and a green crown."""
    light = any_light(rng, 0.5)
    red = pick(rng, ((206, 24, 32), (190, 18, 30), (222, 40, 38)), 7)
    places = [(rng.choice((-1, 1)) * rng.uniform(0.7, 1.0), rng.uniform(-0.7, -0.3)), (0.0, 0.0)][rng.uniform() < 0.7 :]
    return arranged([(_berry(rng, size, red, light), x, y, 1.0) for x, y in places], size)


def _berry(rng: np.random.Generator, size: int, red: Colour, light: Light) -> Image.Image:
    turn = rng.uniform(-0.8, 0.8)
    plump = np.linspace(1, rng.uniform(0.8, 1.25), len(BERRY))
    body = lathe(np.array(BERRY) * plump, rng.uniform(1.6, 2.0), turn, size)
    rows = int(rng.integers(9, 12))
    counts = 2.6 * rows * along_steps((np.floor(body.along * rows) + 0.5) / rows, BERRY)
    off = studs(body.along * rows, body.around + rng.uniform(0, 1), counts)
    pits, seeds = np.minimum((off / 0.42) ** 2 - 1, 0), edge(0.17 - off, 0.08)
    colours = painted(
        red, (edge(0.16 - body.along, 0.2) * 0.6, (240, 170, 130)), (-0.3 * pits, (110, 0, 10)), (seeds, (232, 190, 90))
    )
    berry = to_rgba(lit(colours, roughened(body.normals, pits, 0.05 * size / rows), light), body.alpha)
    x, y = turned(np.array([[0.0, -0.8]]), turn)[0]
    return arranged([(berry, 0, 0, 1.0), (_crown(rng, light, turn, size), x, y, rng.uniform(0.5, 0.65))], size)


def _crown(rng: np.random.Generator, light: Light, turn: float, size: int) -> Image.Image:
    """Nine pointed leaves about a bent stem."""
    green = vary(rng, (70, 140, 40))
    angles = np.linspace(0, 2 * np.pi, 9, endpoint=False) + rng.normal(0, 0.15, 9)
    strokes = [_crown_leaf(rng, angle, mix(green, (160, 200, 90), rng.uniform(0, 0.4))) for angle in angles]
    stem = outline((0, 0.1), (0.05, -0.3), (rng.uniform(-0.2, 0.2), rng.uniform(-0.9, -0.5)))
    strokes.append(Stroke(stem, mix(green, (200, 220, 140), 0.4), 230, 0.12))
    return picture(strokes, light, size // 2, turn)


def _crown_leaf(rng: np.random.Generator, angle: float, green: Colour) -> Stroke:
    tip = polar(angle, rng.uniform(0.7, 1.1)) * (1, 0.6)
    leaf = ribbon(placed(np.linspace((0, 0), tip, 6), 0, 0.1), np.array([0.1, 0.3, 0.34, 0.28, 0.16, 0.0]))
    return Stroke(smooth(leaf, 3), green, int(rng.integers(90, 200)))


DRAWN = {949: strawberry, 950: orange, 951: lemon}
