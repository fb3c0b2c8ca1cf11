"""Pastimes: abacuses, crosswords."""

import numpy as np
from PIL import Image

from generation.sources.drawn.brush import Stroke, box, ellipse, moved, outline, picture
from generation.sources.drawn.light import CLOTH, INK, PAPER, Colour, any_light, pick, vary
from generation.sources.drawn.objects.letters import LETTERS, lettering

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


DRAWN = {398: abacus, 918: crossword}
