"""Parts of a scene: sky, ground in perspective, ridges, rain, light.

A scene is float32 (size, size, 3), colours 0-255; heights in a scene run from 0 at the top to 1 at the bottom.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from generation.sources.drawn.brush import Stroke, circle, flat, outline, placed
from generation.sources.drawn.light import Colour, cloudy, darker, mix, noise, paler, pick, vary

BLUE: tuple[Colour, ...] = ((70, 130, 205), (100, 150, 215), (120, 165, 210), (84, 120, 180))
HAZE: tuple[Colour, ...] = ((190, 214, 235), (214, 222, 230), (226, 220, 206))
GREEN: tuple[Colour, ...] = ((78, 132, 42), (96, 142, 50), (64, 112, 40), (118, 146, 62))


def sky(rng: np.random.Generator, size: int, top: Colour, bottom: Colour, clouds: float = 0.5) -> np.ndarray:
    """A sky that fades from `top` to `bottom`, under white clouds that cover about `clouds` of it."""
    scene = fade(size, top, bottom)
    cover = np.clip(cloudy(rng, 4, size) * 1.6 + 2 * clouds - 1, 0, 1) * np.linspace(1, 0.4, size)[:, None]
    return blend(scene, 0.85 * cover, paler(bottom, 0.75))


def fade(size: int, top: Colour, bottom: Colour) -> np.ndarray:
    """A scene that fades evenly from `top` to `bottom`."""
    ramp = np.linspace(np.array(top, np.float32), np.array(bottom, np.float32), size, dtype=np.float32)
    return np.broadcast_to(ramp[:, None, :], (size, size, 3))


def blend(scene: np.ndarray, cover: np.ndarray, paint: Colour | np.ndarray) -> np.ndarray:
    """The scene under a coat of `paint` (a colour or another scene) as thick as `cover` (size, size) in [0, 1]."""
    return scene + cover[..., None].astype(np.float32) * (np.asarray(paint, np.float32) - scene)


def below(line: np.ndarray | float, size: int) -> np.ndarray:
    """1 under a skyline, 0 above it, soft over one pixel; `line` is one height or one a column."""
    rows = np.arange(size, dtype=np.float32)[:, None] + 0.5
    return np.clip(rows - np.broadcast_to(np.asarray(line, np.float32) * size, size) + 0.5, 0, 1)


def ridge(rng: np.random.Generator, size: int, height: float, rough: float, octaves: int = 5) -> np.ndarray:
    """A wavy skyline (size,) about `height` that rises and falls by `rough`; more octaves add finer waves."""
    x = np.linspace(0, 2 * np.pi, size)
    waves = [rng.uniform(0.5, 1) / k * np.sin(k * x + rng.uniform(0, 6.3)) for k in (1, 2, 4, 9, 17)[:octaves]]
    return height + rough * np.sum(waves, axis=0) / 2


def ground(rng: np.random.Generator, size: int, horizon: float, cells: int = 90) -> np.ndarray:
    """Noise (size, size) that lies on a plain: fine at the horizon and coarse at the feet of the viewer."""
    texture = noise(rng, cells // 2, 256) + 0.5 * noise(rng, cells, 256)
    rows = np.maximum((np.arange(size) + 0.5) / size - horizon, 0.004)
    depth = 0.12 / rows
    across = (np.arange(size) / size - 0.5)[None, :] * (depth[:, None] * 300) + 128
    along = np.broadcast_to((depth * 190)[:, None], across.shape)
    sharp = np.clip(rows * 14, 0.15, 1)[:, None]
    return texture[along.astype(int) % 256, across.astype(int) % 256] * sharp


def day(rng: np.random.Generator, size: int) -> np.ndarray:
    """A sky of any weather but rain."""
    return sky(rng, size, pick(rng, BLUE), pick(rng, HAZE), rng.uniform(0.1, 0.7))


def plain(
    rng: np.random.Generator, scene: np.ndarray, horizon: float, far: Colour, near: Colour, rough: float
) -> np.ndarray:
    """The scene with a plain below the horizon, its texture in perspective."""
    size = len(scene)
    floor = shaded(fade(size, mix(far, near, -horizon), near), ground(rng, size, horizon), rough)
    return blend(scene, below(horizon, size), floor)


def hills(rng: np.random.Generator, scene: np.ndarray, horizon: float, colour: Colour, rows: int = 2) -> np.ndarray:
    """The scene with rows of hills that end at the horizon, the far ones paler."""
    for row in range(rows, 0, -1):
        line = ridge(rng, len(scene), horizon - 0.05 * row, 0.07 * rng.uniform(0.6, 1.2))
        scene = blend(scene, below(line, len(scene)), mix(colour, (170, 190, 210), 0.28 * row))
    return scene


def shaded(scene: np.ndarray, texture: np.ndarray, strength: float, cover: np.ndarray | float = 1.0) -> np.ndarray:
    """The scene made brighter and darker by a texture (size, size), `strength` being its share, where `cover` is 1."""
    return scene * (1 + strength * texture * cover)[..., None]


def stamped(scene: np.ndarray, strokes: Sequence[Stroke], strength: float = 1.0) -> np.ndarray:
    """The scene under flat strokes, in points of [0, 1], as thick as `strength`."""
    pixels = np.asarray(flat(strokes, len(scene)), dtype=np.float32) * np.float32(strength)
    return scene * (1 - pixels[..., 3:] / 255) + pixels[..., :3]


def streaks(rng: np.random.Generator, count: int, length: float, lean: float, colour: Colour) -> list[Stroke]:
    """Falling rain: `count` short parallel lines, `lean` to the side for each unit down."""
    starts = rng.uniform(-0.1, 1.0, (count, 2))
    falls = rng.uniform(0.5, 1.0, count)[:, None] * (length * np.array([lean, 1.0]))
    return [Stroke(np.stack([a, a + fall]), colour, width=0.003) for a, fall in zip(starts, falls, strict=True)]


def conifer(x: float, foot: float, tall: float, green: Colour, snow: float = 0.0) -> list[Stroke]:
    """A fir of four tiers; `snow` in [0, 1] whitens the upper side of each."""
    strokes = [Stroke(outline((x, foot), (x, foot - 0.2 * tall)), mix(green, (96, 60, 36), 0.25), width=0.07 * tall)]
    for tier in range(4):
        top, half = foot - tall * (0.1 + 0.225 * (tier + 1)) - 0.06 * tall, tall * (0.26 - 0.055 * tier)
        low = foot - tall * (0.1 + 0.2 * tier)
        strokes.append(
            Stroke(
                outline((x, top), (x + half, low), (x, low - 0.04 * tall), (x - half, low)),
                darker(green, 0.2 - 0.05 * tier),
            )
        )
        if snow:
            cap = outline(
                (x, top),
                (x + 0.75 * half, low - 0.2 * (low - top)),
                (x, low - 0.35 * (low - top)),
                (x - 0.75 * half, low - 0.2 * (low - top)),
            )
            strokes.append(Stroke(cap, mix(green, (246, 248, 255), snow)))
    return strokes


def leafy(rng: np.random.Generator, x: float, foot: float, tall: float, green: Colour) -> list[Stroke]:
    """A round tree: a trunk and a crown of leaf clumps, lighter towards the top."""
    strokes = [Stroke(outline((x, foot), (x, foot - 0.5 * tall)), (84, 62, 44), width=0.09 * tall)]
    for k, (across, up) in enumerate(rng.normal(0, 0.16 * tall, (14, 2)).tolist()):
        clump = placed((0.13 + 0.003 * k) * tall * circle(12), x + across, foot - 0.68 * tall + up)
        strokes.append(Stroke(clump, vary(rng, mix(green, (230, 240, 150), 0.015 * k), 7)))
    return strokes


def dots(rng: np.random.Generator, count: int, bottom: float, colour: Colour, radius: float) -> list[Stroke]:
    """Stars or flakes: small diamonds scattered down to `bottom`, up to `radius`."""
    places = rng.uniform(0, 1, (count, 2)) * (1, bottom)
    diamond = outline((0, -1), (1, 0), (0, 1), (-1, 0))
    return [Stroke(place + diamond * radius * rng.uniform(0.3, 1), colour) for place in places]


def halo(size: int, x: float, y: float, radius: float) -> np.ndarray:
    """Light (size, size) in [0, 1] that falls off from (x, y), to a third at `radius`."""
    steps = (np.arange(size, dtype=np.float32) + 0.5) / size
    return np.exp(-((steps[None, :] - x) ** 2 + (steps[:, None] - y) ** 2) / radius**2)


def finished(rng: np.random.Generator, scene: np.ndarray) -> Image.Image:
    """The scene as an RGB image, with the fine grain of a camera."""
    grain = rng.normal(0, 3.0, scene.shape[:2]).astype(np.float32)
    return Image.fromarray(np.clip(np.rint(scene + grain[..., None]), 0, 255).astype(np.uint8))
