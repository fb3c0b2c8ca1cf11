"""Strokes: outlines in free coordinates that become one lit picture filling its square.

A drawing is a list of strokes, back to front. `picture` measures them all first and then scales them to the square,
so a shape is tight whatever its pose, and no drawing needs to know where its edges are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from generation.sources.drawn.light import Colour, Light, light_heights

OVERSAMPLING = 2


@dataclass(frozen=True)
class Stroke:
    """A filled outline, or a line where `width` > 0.

    `points` is float (n, 2), x right and y down, in any unit shared by the strokes of a drawing, as is `width`.
    `height` (0-255) is how far the stroke stands out towards the viewer: lighting sees only differences.
    """

    points: np.ndarray
    colour: Colour
    height: int = 128
    width: float = 0.0


def picture(strokes: Sequence[Stroke], light: Light, size: int, turn: float = 0.0, relief: float = 1.0) -> Image.Image:
    """Turn the drawing by `turn` radians, fit it to size x size and light it; RGBA, transparent where no stroke is."""
    fitted = _fitted(moved(strokes, lambda points: turned(points, turn)), size * OVERSAMPLING)
    colours = _rasterised(fitted, "RGBX", [(*stroke.colour, 255) for stroke in fitted], size)
    heights = _rasterised(fitted, "L", [stroke.height for stroke in fitted], size)
    return light_heights(colours, heights, light, relief)


def flat(strokes: Sequence[Stroke], size: int) -> Image.Image:
    """The strokes unlit and where they are, the square being [0, 1]: RGBX, X their alpha, colours weighted by it."""
    scaled = _scaled(strokes, size * OVERSAMPLING, 0.0)
    return _rasterised(scaled, "RGBX", [(*stroke.colour, 255) for stroke in scaled], size)


def _fitted(strokes: Sequence[Stroke], side: int) -> list[Stroke]:
    low = np.min([stroke.points.min(axis=0) - stroke.width / 2 for stroke in strokes], axis=0)
    high = np.max([stroke.points.max(axis=0) + stroke.width / 2 for stroke in strokes], axis=0)
    scale = (side - 1) / float((high - low).max())
    return _scaled(strokes, scale, (side - 1) / 2 - scale * (low + high) / 2)


def _scaled(strokes: Sequence[Stroke], scale: float, shift: np.ndarray | float) -> list[Stroke]:
    return [Stroke(s.points * scale + shift, s.colour, s.height, s.width * scale) for s in strokes]


def _rasterised(strokes: Sequence[Stroke], mode: str, inks: Sequence[int | tuple[int, ...]], size: int) -> Image.Image:
    """Strokes in pixels of the oversampled square, each in its ink, brought down to size x size.

    What is empty is zero in every channel, so colours come out weighted by alpha: hence RGBX, as Pillow would weight
    and unweight an RGBA image on the way.
    """
    image = Image.new(mode, (size * OVERSAMPLING, size * OVERSAMPLING))
    draw = ImageDraw.Draw(image)
    for stroke, ink in zip(strokes, inks, strict=True):
        corners = stroke.points.ravel().tolist()
        if stroke.width:
            draw.line(corners, fill=ink, width=max(1, round(stroke.width)), joint="curve")
        else:
            draw.polygon(corners, fill=ink)
    return image.reduce(OVERSAMPLING)


def moved(strokes: Sequence[Stroke], move: Callable[[np.ndarray], np.ndarray]) -> list[Stroke]:
    """The strokes with their points (n, 2) put through `move`: a slant, a mirror, a perspective."""
    return [Stroke(move(s.points), s.colour, s.height, s.width) for s in strokes]


def turned(points: np.ndarray, angle: float) -> np.ndarray:
    """Rotate points (n, 2) about the origin by `angle` radians, clockwise as y points down."""
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def placed(points: np.ndarray, x: float, y: float) -> np.ndarray:
    """The points (n, 2) moved by (x, y)."""
    return points + np.array((x, y))


def polar(angle: float, radius: float) -> np.ndarray:
    """The point (2,) at `angle` radians and `radius` from the origin."""
    return radius * np.array([np.cos(angle), np.sin(angle)])


def outline(*corners: tuple[float, float]) -> np.ndarray:
    """Points (n, 2) from corners written out."""
    return np.array(corners, dtype=float)


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """The corners (4, 2) of an upright rectangle."""
    return outline((left, top), (right, top), (right, bottom), (left, bottom))


@cache
def circle(sides: int) -> np.ndarray:
    """The unit circle as (sides, 2) points."""
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def ellipse(x: float, y: float, across: float, down: float, turn: float = 0.0, sides: int = 40) -> np.ndarray:
    """A full ellipse (sides, 2) about (x, y) with half axes `across` and `down`, turned by `turn` radians."""
    upright = circle(sides) * (across, down)
    return placed(turned(upright, turn) if turn else upright, x, y)


def blob(rng: np.random.Generator, x: float, y: float, radius: float, rough: float = 0.15) -> np.ndarray:
    """A wobbly disc (24, 2): the radius varies smoothly by about `rough` of itself."""
    angle, waves = np.linspace(0, 2 * np.pi, 24, endpoint=False), np.array([2.0, 3.0, 5.0])
    swing = rng.normal(0, rough / waves) @ np.cos(waves[:, None] * angle + rng.uniform(0, 2 * np.pi, (3, 1)))
    return placed(radius * (1 + swing)[:, None] * circle(24), x, y)


def smooth(corners: np.ndarray, steps: int = 8) -> np.ndarray:
    """A closed Catmull-Rom curve (n * steps, 2) through the corners (n, 2)."""
    before, after, beyond = (np.roll(corners, shift, axis=0) for shift in (1, -1, -2))
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    pull = (after - before) * t + (2 * before - 5 * corners + 4 * after - beyond) * t**2
    curve = corners + (pull + (3 * corners - before - 3 * after + beyond) * t**3) / 2
    return curve.transpose(1, 0, 2).reshape(-1, 2)


def ribbon(path: np.ndarray, widths: np.ndarray | float) -> np.ndarray:
    """The outline (2n, 2) of a band along `path` (n, 2) whose full width is `widths` (n) or one number."""
    along = np.gradient(path, axis=0)
    side = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.maximum(np.linalg.norm(along, axis=1), 1e-9)[:, None]
    half = np.broadcast_to(np.asarray(widths, dtype=float) / 2, len(path))[:, None] * side
    return np.concatenate([path + half, (path - half)[::-1]])


def arc(x: float, y: float, radius: float, start: float, stop: float, steps: int = 24) -> np.ndarray:
    """Points (steps, 2) on a circle about (x, y) from `start` to `stop` radians."""
    angle = np.linspace(start, stop, steps)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)
