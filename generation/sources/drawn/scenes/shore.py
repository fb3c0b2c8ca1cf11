"""Water and sand: sea, lake and pool; dunes, beach and ripples."""

import numpy as np

from generation.sources.drawn.light import Colour, cloudy, mix, noise, paler, pick
from generation.sources.drawn.scenes.scenery import (
    BLUE,
    below,
    blend,
    day,
    fade,
    ground,
    halo,
    hills,
    plain,
    ridge,
    shaded,
    sky,
)


def sea(rng: np.random.Generator, size: int) -> np.ndarray:
    """Open water to the horizon, by day or at sunset."""
    horizon, deep = rng.uniform(0.25, 0.5), pick(rng, ((30, 84, 130), (24, 100, 120), (50, 96, 140)))
    scene = day(rng, size) if (noon := rng.uniform() < 0.6) else sky(rng, size, (90, 90, 150), (250, 170, 100), 0.4)
    scene = plain(rng, scene, horizon, mix(deep, (200, 220, 230) if noon else (250, 180, 110), 0.4), deep, 0.0)
    swell = _swell(rng, size, horizon)
    scene = shaded(scene, swell, 0.3, below(horizon, size))
    return blend(
        scene,
        np.clip(swell * 1.6 - 1.0, 0, 0.8) * below(horizon + 0.02, size),
        (236, 244, 248) if noon else (255, 214, 160),
    )


def _swell(rng: np.random.Generator, size: int, horizon: float) -> np.ndarray:
    """Waves (size, size): long across and short along, finer towards the horizon."""
    depth = 1 / np.maximum((np.arange(size) + 0.5) / size - horizon, 0.012)
    rows = (depth * 24).astype(int) % 512
    waves = noise(rng, (220, 26), 512) + 0.6 * noise(rng, (400, 70), 512)
    columns = ((np.arange(size) / size - 0.5)[None, :] * np.minimum(depth, 12)[:, None] * 110 + 256).astype(int) % 512
    return waves[rows[:, None], columns]


def lake(rng: np.random.Generator, size: int) -> np.ndarray:
    """Still water that mirrors the hills behind it."""
    shore = rng.uniform(0.42, 0.56)
    land = hills(rng, day(rng, size), shore, pick(rng, ((60, 90, 60), (80, 90, 100), (50, 80, 70))), 3)
    rows = np.arange(size)
    mirrored = np.abs(np.round(2 * shore * size - rows)).astype(int).clip(0, size - 1)
    ripple = noise(rng, (size // 3, 10), size)
    water = blend(land[mirrored] * 0.8, np.full((size, size), 0.35), (40, 80, 110))
    return blend(land, below(shore, size), shaded(water, ripple, 0.16))


def pool(rng: np.random.Generator, size: int) -> np.ndarray:
    """Clear water from above, with a bright net of light."""
    blue = pick(rng, ((40, 150, 190), (30, 120, 170), (60, 170, 180), (40, 110, 140)))
    cells = int(rng.integers(5, 10))
    net = np.minimum(np.abs(noise(rng, cells, size)), np.abs(noise(rng, cells + 2, size)))
    scene = shaded(fade(size, paler(blue, 0.15), mix(blue, (0, 20, 60), 0.25)), cloudy(rng, 3, size), 0.25)
    return blend(scene, 0.75 * np.clip(1 - net * 9, 0, 1), paler(blue, 0.75))


SANDS: tuple[Colour, ...] = ((220, 186, 130), (206, 166, 108), (230, 204, 156), (200, 150, 96))


def dunes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Desert dunes, each with a lit and a shaded side."""
    sand, scene = pick(rng, SANDS), sky(rng, size, pick(rng, BLUE), (226, 222, 206), 0.15)
    depth = np.linspace(0, 1, size)[:, None]
    for row in range(4):
        line = ridge(rng, size, 0.4 + 0.17 * row, 0.13, octaves=2)
        slope = np.tanh(5 * np.gradient(line) * size) * np.exp(-7 * np.maximum(depth - line, 0))
        tone = shaded(fade(size, mix(sand, (255, 244, 220), 0.15), sand), slope, -0.25) * (0.84 + 0.05 * row)
        scene = blend(scene, below(line, size), tone)
    return shaded(scene, noise(rng, (size // 2, size // 8), size), 0.07, below(0.4, size))


def beach(rng: np.random.Generator, size: int) -> np.ndarray:
    """Sand below, then foam, sea and sky."""
    sand, horizon = pick(rng, SANDS), rng.uniform(0.22, 0.36)
    sea_blue = pick(rng, ((40, 130, 170), (50, 150, 170), (60, 110, 150)))
    scene = plain(rng, day(rng, size), horizon, sea_blue, mix(sea_blue, (180, 230, 220), 0.4), 0.08)
    line = ridge(rng, size, horizon + rng.uniform(0.12, 0.2), 0.03)
    scene = blend(scene, below(line - 0.03, size), (240, 246, 246))
    scene = blend(scene, below(line, size), mix(sand, (110, 80, 50), 0.35))
    dry = shaded(fade(size, sand, mix(sand, (255, 250, 230), 0.2)), ground(rng, size, horizon), 0.13)
    return blend(scene, below(line + 0.07, size), dry)


def ripples(rng: np.random.Generator, size: int) -> np.ndarray:
    """Sand from above, blown into ripples."""
    sand = pick(rng, SANDS)
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
    turn = rng.uniform(-0.6, 0.6)
    phase = (y * np.cos(turn) + x * np.sin(turn)) * rng.uniform(60, 100) + 5 * noise(rng, 4, size)
    scene = shaded(fade(size, sand, sand), np.sin(phase) + 0.4 * np.sin(2 * phase + 1), 0.1)
    return shaded(shaded(scene, noise(rng, size // 2, size), 0.1), halo(size, rng.uniform(), rng.uniform(), 0.6), 0.15)


WATER, SAND = (sea, lake, pool), (dunes, beach, ripples)
