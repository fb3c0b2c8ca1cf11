"""Solids: balls and bent tubes as normals per pixel, and patterns looked up on them.

The object fills the square; arrays are (h, w), normals and places (3, h, w), x right, y down, z towards the viewer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from generation.sources.drawn.brush import turned
from generation.sources.drawn.light import Colour, dot, unit


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """The x and y (size, size) of the pixel centres in [-1, 1]."""
    steps = ((np.arange(size, dtype=np.float32) + 0.5) * 2 / size) - 1
    x, y = np.meshgrid(steps, steps)
    return x, y


def edge(distance: np.ndarray, blur: float) -> np.ndarray:
    """A soft step: 0 where `distance` is below -blur / 2, 1 above blur / 2."""
    return np.clip(distance / blur + 0.5, 0, 1)


def sphere(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Normals and alpha of a ball that touches all four sides of the square."""
    x, y = grid(size)
    radius = np.hypot(x, y)
    inside = np.minimum(1, 1 / np.maximum(radius, 1e-6))
    x, y = x * inside, y * inside
    return np.stack([x, y, np.sqrt(np.maximum(1 - x**2 - y**2, 0))]), edge(1 - radius, 2 / size)


def spin(rng: np.random.Generator) -> np.ndarray:
    """A turn (3, 3) drawn evenly from all turns (a random unit quaternion)."""
    w, x, y, z = (q := rng.normal(size=4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ],
        dtype=np.float32,
    )


def seen(normals: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Position of each pixel on the unturned ball: the normals rotated by (3, 3)."""
    return dot(turn, normals)


def painted(base: Colour, *coats: tuple[np.ndarray, Colour]) -> np.ndarray:
    """Colours (h, w, 3): the base under coats, each a cover (h, w) in [0, 1] and its colour."""
    colours = np.broadcast_to(np.array(base, np.float32), (*coats[0][0].shape, 3))
    for cover, colour in coats:
        colours = colours + cover[..., None].astype(np.float32) * (np.array(colour, np.float32) - colours)
    return colours


def roughened(normals: np.ndarray, bumps: np.ndarray, strength: float) -> np.ndarray:
    """Normals tilted by the slope per pixel of a bump map (h, w), for peel, felt and dimples."""
    down, across = np.gradient(bumps)
    return unit(normals - strength * np.stack([across, down, np.zeros_like(down)]))


@dataclass(frozen=True)
class Lathe:
    """A turned body seen from the side: where each pixel lies on it, its normals, its alpha.

    `along` (h, w) runs from 0 to 1 down the axis, `around` (h, w) is the longitude in radians, 0 facing the viewer.
    """

    along: np.ndarray
    around: np.ndarray
    normals: np.ndarray
    alpha: np.ndarray


def lathe(profile: Sequence[float] | np.ndarray, length: float, turn: float, size: int) -> Lathe:
    """Spin a profile about an upright axis: radii at even steps down an axis of `length`, the whole turned by `turn`.

    The body is scaled and centred to fill the square.
    """
    steps, radii = np.linspace(0, 1, len(profile)), np.array(profile, dtype=float)
    rim = turned(np.concatenate([np.stack([k * radii, (steps - 0.5) * length], axis=1) for k in (-1, 1)]), turn)
    low, high = rim.min(axis=0), rim.max(axis=0)
    scale, centre = float((high - low).max()) / 2, (low + high) / 2
    x, y = (axis * scale + float(middle) for axis, middle in zip(grid(size), centre, strict=True))
    across, down = math.cos(turn) * x + math.sin(turn) * y, math.cos(turn) * y - math.sin(turn) * x
    along = down / length + 0.5
    radius = along_steps(along, radii)
    slope = along_steps(along, np.gradient(radii, steps[1]) / length)
    alpha = edge(radius - np.abs(across), 2 * scale / size) * edge(length / 2 - np.abs(down), 2 * scale / size)
    side = np.clip(across / np.maximum(radius, 1e-6), -1, 1)
    return Lathe(along, np.arcsin(side), _lathe_normals(side, slope, turn), alpha)


def along_steps(along: np.ndarray, values: Sequence[float] | np.ndarray) -> np.ndarray:
    """The values, given at even steps from 0 to 1, read at each pixel's `along` (h, w)."""
    steps = np.linspace(0, 1, len(values))
    return np.interp(along, steps, values).astype(np.float32)


def _lathe_normals(side: np.ndarray, slope: np.ndarray, turn: float) -> np.ndarray:
    across, down, out = side, -slope, np.sqrt(1 - side**2)
    cos, sin = math.cos(turn), math.sin(turn)
    return unit(np.stack([cos * across - sin * down, sin * across + cos * down, out]))


def studs(rows: np.ndarray, around: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Distance (h, w) of each pixel to the nearest of points in staggered rows, 0.5 being half a gap.

    `rows` is the row number and fraction of each pixel, `around` its longitude in radians, `counts` the points in
    the full circle of its row.
    """
    columns = around / (2 * np.pi) * np.maximum(np.round(counts), 1) + 0.5 * (np.floor(rows) % 2)
    return np.hypot(rows % 1 - 0.5, columns % 1 - 0.5)


def arranged(parts: Sequence[tuple[Image.Image, float, float, float]], size: int) -> Image.Image:
    """Lay parts over one another, each (RGBA square, x, y, half side) in a shared unit, and fit all to the square."""
    low = np.min([(x - half, y - half) for _, x, y, half in parts], axis=0)
    high = np.max([(x + half, y + half) for _, x, y, half in parts], axis=0)
    scale = size / float((high - low).max())
    shift = size / 2 - scale * (low + high) / 2
    whole = Image.new("RGBA", (size, size))
    for part, x, y, half in parts:
        side = max(1, round(2 * half * scale))
        corner = np.rint(shift + scale * np.array([x - half, y - half])).astype(int).clip(0)
        whole.alpha_composite(part.resize((side, side), Image.Resampling.BILINEAR), tuple(corner.tolist()))
    return tight(whole, size)


def tight(image: Image.Image, size: int) -> Image.Image:
    """Crop to what is not transparent and scale it, centred, to fill size x size."""
    rows, columns = np.nonzero(np.asarray(image.getchannel("A")) > 24)
    left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    half = max(right - left, bottom - top) / 2
    x, y = (left + right) / 2, (top + bottom) / 2
    square = (round(x - half), round(y - half), round(x - half) + round(2 * half), round(y - half) + round(2 * half))
    return image.crop(square).resize((size, size), Image.Resampling.BILINEAR)
