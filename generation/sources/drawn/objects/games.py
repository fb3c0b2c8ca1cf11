"""Pastimes: balls (a pattern on a turned sphere), abacuses, crosswords."""

import numpy as np
from PIL import Image

from generation.sources.drawn.brush import Stroke, box, ellipse, moved, outline, picture
from generation.sources.drawn.light import CLOTH, INK, PAPER, Colour, any_light, dot, lit, noise, pick, to_rgba, vary
from generation.sources.drawn.objects.letters import LETTERS, lettering
from generation.sources.drawn.objects.solid import edge, painted, roughened, seen, sphere, spin, studs

GOLDEN = (1 + 5**0.5) / 2
RAILS = (
    box(-1.1, -1.05, 1.1, -0.92),
    box(-1.1, 0.94, 1.1, 1.07),
    box(-1.1, -1.05, -0.96, 1.07),
    box(0.96, -1.05, 1.1, 1.07),
)


def abacus(rng: np.random.Generator, size: int) -> Image.Image:
    """A wooden frame with rows of coloured beads on rods."""
    wood = pick(rng, ((150, 96, 50), (200, 150, 90), (90, 50, 30)), 8)
    paints = [vary(rng, CLOTH[k], 8) for k in rng.permutation(len(CLOTH))[: int(rng.integers(1, 6))]]
    rows, strokes = int(rng.integers(5, 11)), []
    for row, y in enumerate(np.linspace(-0.8, 0.8, rows)):
        strokes += _bead_row(y, int(rng.integers(11)), 0.72 / rows, paints[row % len(paints)])
    strokes += [Stroke(rail, vary(rng, wood, 5), 220) for rail in RAILS]
    return picture(strokes, any_light(rng, 0.4), size, rng.normal(0, 0.2), relief=1.2)


def _bead_row(y: float, left: int, half: float, paint: Colour) -> list[Stroke]:
    """Ten beads on a rod, `left` of them pushed to the left."""
    places = np.concatenate([-0.86 + 0.125 * np.arange(left), 0.86 - 0.125 * np.arange(10 - left)])
    rod = Stroke(outline((-1, y), (1, y)), (150, 150, 150), 90, 0.03)
    return [rod, *(Stroke(ellipse(x, y, 0.06, half, sides=16), paint, 170) for x in places)]


def crossword(rng: np.random.Generator, size: int) -> Image.Image:
    """A printed grid of white and black squares, part of it filled in, with numbers."""
    cells = int(rng.integers(9, 14))
    black = rng.uniform(size=(cells, cells)) < 0.17
    black |= black[::-1, ::-1]
    paper = pick(rng, (PAPER, (236, 228, 206), (250, 250, 250)), 4)
    strokes, filled = [Stroke(box(-0.1, -0.1, cells + 0.1, cells + 0.1), INK, 120)], rng.uniform(0.0, 0.9)
    pen = pick(rng, ((40, 50, 130), (40, 40, 44)), 6)
    for row, column in np.argwhere(~black):
        strokes.append(Stroke(box(column + 0.04, row + 0.04, column + 0.96, row + 0.96), paper, 120))
        if rng.uniform() < filled:
            strokes += lettering(str(rng.choice(list(LETTERS))), column + 0.5, row + 0.56, 0.6, 0.55, 0.09, pen, 120)
        if rng.uniform() < 0.3:
            strokes.append(Stroke(outline((column + 0.12, row + 0.22), (column + 0.26, row + 0.22)), INK, 120, 0.12))
    keystone = rng.uniform(-0.25, 0.25)
    tilted = moved(strokes, lambda points: _keystone(points, cells, keystone))
    return picture(tilted, any_light(rng, 0.0), size, rng.normal(0, 0.2), relief=0.2)


def _keystone(points: np.ndarray, cells: int, strength: float) -> np.ndarray:
    x, y = (points / cells - 0.5).T
    return np.stack([x * (1 + strength * y), y * (1 - abs(strength))], axis=1) * cells


def soccer_ball(rng: np.random.Generator, size: int) -> Image.Image:
    """White hexagons and dark pentagons (a truncated icosahedron) with sunken seams."""
    normals, alpha = sphere(size)
    place = seen(normals, spin(rng))
    pentagon = _closest(place, _icosahedron())[0] - 0.045
    hexagon, next_hexagon = _closest(place, _dodecahedron())
    seam = np.minimum(np.where(pentagon > hexagon, 1, hexagon - next_hexagon), np.abs(pentagon - hexagon))
    panels = pick(rng, ((240, 240, 236), (222, 224, 230)), 6)
    ink = pick(rng, ((26, 26, 30), (22, 22, 22), (30, 40, 90)), 8)
    colours = painted(panels, (edge(0.022 - seam, 0.03), (120, 120, 120)), (edge(pentagon - hexagon, 4 / size), ink))
    return _ball(rng, colours, normals, alpha, gloss=0.3)


def basketball(rng: np.random.Generator, size: int) -> Image.Image:
    """Pebbled orange leather with black seams: two great circles and a loop around each end."""
    normals, alpha = sphere(size)
    x, y, z = seen(normals, spin(rng))
    seam = np.minimum(np.minimum(np.abs(y), np.abs(z)), np.abs(np.abs(x) - 0.58 - 0.14 * z**2))
    leather = pick(rng, ((205, 98, 38), (186, 84, 36), (214, 112, 52)), 8)
    colours = painted(leather, (edge(rng.uniform(0.022, 0.034) - seam, 4 / size), (30, 22, 20)))
    return _ball(rng, colours, roughened(normals, noise(rng, size // 3, size), 0.22), alpha, gloss=0.2)


def tennis_ball(rng: np.random.Generator, size: int) -> Image.Image:
    """Yellow-green felt with one pale wavy seam."""
    normals, alpha = sphere(size)
    x, y, z = seen(normals, spin(rng))
    seam = np.abs(z - 0.85 * (x**2 - y**2))
    felt = pick(rng, ((200, 222, 62), (186, 214, 50), (212, 226, 84)), 7)
    colours = painted(felt, (edge(rng.uniform(0.06, 0.085) - seam, 6 / size), (236, 240, 222)))
    fuzz = noise(rng, size // 2, size)
    return _ball(rng, colours + 8 * fuzz[..., None], roughened(normals, fuzz, 0.3), alpha, gloss=0.0)


def golf_ball(rng: np.random.Generator, size: int) -> Image.Image:
    """White and covered with dimples that stand in rows around the poles."""
    normals, alpha = sphere(size)
    dimples = _dimples(seen(normals, spin(rng)), rows := int(rng.integers(17, 22)))
    colours = painted(pick(rng, ((240, 240, 236), (246, 246, 240)), 5), (-0.12 * dimples, (60, 60, 70)))
    return _ball(rng, colours, roughened(normals, dimples, 0.07 * size / rows), alpha, gloss=0.35)


def _dimples(place: np.ndarray, rows: int) -> np.ndarray:
    x, y, z = place
    row = (np.arcsin(np.clip(z, -1, 1)) / np.pi + 0.5) * rows
    latitude = ((np.floor(row) + 0.5) / rows - 0.5) * np.pi
    off = studs(row, np.arctan2(y, x), 2 * rows * np.cos(latitude))
    return np.minimum((off / 0.45) ** 2 - 1, 0)


def _ball(
    rng: np.random.Generator, colours: np.ndarray, normals: np.ndarray, alpha: np.ndarray, gloss: float
) -> Image.Image:
    return to_rgba(lit(colours, normals, any_light(rng, gloss)), alpha)


def _closest(place: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cosine (h, w) to the closest and to the second closest of the centres (n, 3)."""
    cosines = dot(centres, place)
    best = cosines.max(axis=0)
    return best, np.where(cosines == best, -1, cosines).max(axis=0)


def _icosahedron() -> np.ndarray:
    return _unit([(0, a, b * GOLDEN) for a in (-1, 1) for b in (-1, 1)])


def _dodecahedron() -> np.ndarray:
    cube = [(a, b, c) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]
    rest = _unit([(0, a * GOLDEN, b / GOLDEN) for a in (-1, 1) for b in (-1, 1)])
    return np.concatenate([np.array(cube, np.float32) / 3**0.5, rest])


def _unit(points: list[tuple[float, float, float]]) -> np.ndarray:
    """The points and their two cyclic turns, on the unit ball: (3n, 3)."""
    every = np.concatenate([np.roll(np.array(points, np.float32), shift, axis=1) for shift in range(3)])
    return every / np.linalg.norm(every, axis=1, keepdims=True)


DRAWN = {398: abacus, 430: basketball, 574: golf_ball, 805: soccer_ball, 852: tennis_ball, 918: crossword}
