"""Colour, noise and light: what turns flat shapes into things that look lit.

Colours are RGB triples 0-255; pixel arrays are float32 in 0-255; normals are float32 (3, h, w), z towards the viewer.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFilter

Colour = tuple[int, int, int]

INK: Colour = (26, 26, 28)
PAPER: Colour = (244, 242, 234)
CLOTH: tuple[Colour, ...] = (
    (190, 30, 40),
    (30, 60, 140),
    (34, 34, 40),
    (40, 120, 90),
    (230, 120, 40),
    (120, 50, 120),
    (220, 190, 60),
)


@dataclass(frozen=True)
class Light:
    """One lamp and the air around it: unit `direction` (3,), `ambient` and `gloss` in [0, 1], `tint` (3,) about 1.

    `grain` seeds the noise of the camera.
    """

    direction: np.ndarray
    ambient: float
    gloss: float
    tint: np.ndarray
    grain: int


def any_light(rng: np.random.Generator, gloss: float = 0.2) -> Light:
    """A lamp somewhere above and in front of the object, from cold to warm, from hard to soft."""
    direction = np.array([rng.uniform(-0.7, 0.7), rng.uniform(-0.8, -0.25), 1.0], np.float32)
    tint = rng.uniform(0.9, 1.12) * (1 + rng.uniform(-0.06, 0.06) * np.array([1.0, 0.1, -1.0], np.float32))
    return Light(
        direction / np.linalg.norm(direction),
        rng.uniform(0.35, 0.6),
        gloss * rng.uniform(0.5, 1.5),
        tint,
        int(rng.integers(2**32)),
    )


def lit(colours: np.ndarray, normals: np.ndarray, light: Light) -> np.ndarray:
    """Shade colours (h, w, 3) by normals (3, h, w): ambient and diffuse light, a highlight, fine grain."""
    facing = np.maximum(dot(light.direction, normals), 0)
    halfway = light.direction + np.array([0, 0, 1], np.float32)
    shine = np.maximum(dot(halfway / np.linalg.norm(halfway), normals), 0) ** 40
    strength = light.ambient + (1 - light.ambient) * 1.15 * facing
    strength += 0.025 * np.random.default_rng(light.grain).standard_normal(facing.shape, np.float32)
    return colours * (strength[..., None] * light.tint) + 255 * light.gloss * shine[..., None]


def light_heights(colours: Image.Image, heights: Image.Image, light: Light, relief: float) -> Image.Image:
    """Light a flat RGBX picture, X its alpha and colours weighted by it, by an L picture of heights; gives RGBA."""
    pixels = np.asarray(colours, dtype=np.float32)
    alpha = pixels[..., 3] / 255
    straight = pixels[..., :3] / np.maximum(alpha, 1 / 255)[..., None]
    return to_rgba(lit(straight, normals_of(heights, relief), light), alpha)


def normals_of(heights: Image.Image, relief: float) -> np.ndarray:
    """Normals (3, h, w) of a height picture; three blurs round its steps at three scales."""
    side = heights.width
    soft = [heights.filter(ImageFilter.GaussianBlur(side * part)) for part in (0.006, 0.02, 0.07)]
    height = sum(
        weight * np.asarray(layer, dtype=np.float32) for weight, layer in zip((0.2, 0.5, 1.6), soft, strict=True)
    )
    down, across = np.gradient(height * (relief * side / 5000))
    return unit(np.stack([-across, -down, np.ones_like(across)]))


def dot(directions: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Projection of vectors (3, h, w) on one direction (3,), or on each of many (n, 3)."""
    return np.einsum("...k,khw->...hw", directions, vectors)


def unit(vectors: np.ndarray) -> np.ndarray:
    """The vectors (3, h, w) at length one."""
    x, y, z = vectors
    return vectors / np.sqrt(x * x + y * y + z * z)


def to_rgba(colours: np.ndarray, alpha: np.ndarray) -> Image.Image:
    """An RGBA image of colours (h, w, 3) in 0-255 and alpha (h, w) in [0, 1]."""
    pixels = np.empty((*alpha.shape, 4), np.uint8)
    pixels[..., :3] = np.clip(colours + 0.5, 0, 255)
    pixels[..., 3] = alpha * 255 + 0.5
    return Image.fromarray(pixels)


def noise(rng: np.random.Generator, cells: int | tuple[int, int], size: int) -> np.ndarray:
    """Smooth noise (size, size), mean about 0, mostly in [-1, 1]: `cells` bumps a side, or (rows, columns).

    It takes one number from `rng` however many cells it has, so that a drawing is the same at every size.
    """
    grid = cells if isinstance(cells, tuple) else (cells, cells)
    bumps = np.random.default_rng(rng.integers(2**63)).uniform(-1, 1, grid).astype(np.float32)
    return np.asarray(Image.fromarray(bumps).resize((size, size), Image.Resampling.BICUBIC))


def cloudy(rng: np.random.Generator, cells: int, size: int) -> np.ndarray:
    """Noise (size, size) of three octaves, from `cells` bumps a side up: like clouds, stone or stained cloth."""
    return sum((noise(rng, cells * 2**k, size) / 2**k for k in range(3)), np.zeros((size, size), np.float32)) / 1.75


def mix(first: Colour, second: Colour, part: float) -> Colour:
    """The colour `part` of the way from `first` to `second`; parts outside [0, 1] go beyond, clipped."""
    red, green, blue = (min(255, max(0, round(a + part * (b - a)))) for a, b in zip(first, second, strict=True))
    return red, green, blue


def darker(colour: Colour, part: float) -> Colour:
    """The colour `part` of the way to black."""
    return mix(colour, (0, 0, 0), part)


def paler(colour: Colour, part: float) -> Colour:
    """The colour `part` of the way to white."""
    return mix(colour, (255, 255, 255), part)


def vary(rng: np.random.Generator, colour: Colour, spread: float = 12.0) -> Colour:
    """The colour with each channel moved by normal noise of `spread` levels, clipped."""
    red, green, blue = (min(255, max(0, round(level))) for level in rng.normal(colour, spread).tolist())
    return red, green, blue


def pick(rng: np.random.Generator, colours: tuple[Colour, ...], spread: float = 12.0) -> Colour:
    """One of the colours, varied."""
    return vary(rng, colours[int(rng.integers(len(colours)))], spread)
