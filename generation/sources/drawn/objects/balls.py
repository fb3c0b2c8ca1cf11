"""Balls: a pattern on a turned sphere."""

import numpy as np
from PIL import Image

from generation.sources.drawn.light import any_light, dot, lit, noise, pick, to_rgba
from generation.sources.drawn.objects.solid import edge, painted, roughened, seen, sphere, spin, studs

GOLDEN = (1 + 5**0.5) / 2


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


DRAWN = {430: basketball, 574: golf_ball, 805: soccer_ball, 852: tennis_ball}
