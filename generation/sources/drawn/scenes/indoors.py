"""Rooms: a wall with a window, a lounge, a study."""

import numpy as np

from generation.sources.drawn.brush import Stroke, box, ellipse, outline, placed
from generation.sources.drawn.light import Colour, cloudy, darker, mix, noise, paler, pick, vary
from generation.sources.drawn.scenes.scenery import fade, halo, shaded, stamped

WALL: tuple[Colour, ...] = ((222, 212, 192), (190, 204, 206), (214, 190, 170), (176, 190, 160), (200, 196, 210))
WOOD: tuple[Colour, ...] = ((150, 104, 64), (120, 80, 52), (182, 140, 96))
CLOTHS: tuple[Colour, ...] = ((150, 70, 60), (80, 100, 130), (120, 120, 90), (200, 180, 140))
BOOKS: tuple[Colour, ...] = ((140, 40, 40), (40, 70, 110), (60, 90, 60), (190, 160, 110), (60, 50, 60), (200, 196, 186))
FRAME: Colour = (242, 238, 230)


def room(rng: np.random.Generator, size: int) -> np.ndarray:
    """A wall with a window and a picture, a skirting board, a floor of planks."""
    line, left = rng.uniform(0.66, 0.78), rng.uniform(0.05, 0.14)
    window, picture = (left, rng.uniform(0.55, 0.75)) if rng.uniform() < 0.5 else (left + 0.36, left)
    strokes = [*_floor(rng, line), *_window(rng, window, rng.uniform(0.08, 0.16)), *_picture(rng, picture, 0.2)]
    return shaded(stamped(_wall(rng, size), strokes), halo(size, rng.uniform(), 0.3, 0.6), 0.2)


def _wall(rng: np.random.Generator, size: int) -> np.ndarray:
    """A wall, one time in three papered in stripes."""
    paper = pick(rng, WALL)
    scene = shaded(fade(size, paler(paper, 0.1), mix(paper, (60, 50, 40), 0.15)), cloudy(rng, 3, size), 0.05)
    stripes = np.sin(np.linspace(0, rng.uniform(40, 120), size)) > 0.3
    return shaded(scene, np.tile(stripes, (size, 1)).astype(np.float32), rng.choice((0.0, 0.0, 0.07)))


def _floor(rng: np.random.Generator, line: float) -> list[Stroke]:
    """Planks in perspective under a skirting board whose foot is at `line`."""
    wood, aim = pick(rng, WOOD), rng.uniform(0.3, 0.7)
    planks = [
        outline((aim + far, line), (aim + far + 0.073, line), (aim + near + 0.154, 1), (aim + near, 1))
        for far, near in ((0.075 * k, 0.16 * k) for k in range(-14, 15))
    ]
    board = Stroke(box(0, line - 0.04, 1, line), FRAME)
    return [Stroke(box(0, line, 1, 1), wood), *(Stroke(plank, vary(rng, wood, 8)) for plank in planks), board]


def _window(rng: np.random.Generator, left: float, top: float) -> list[Stroke]:
    """A window of four panes over a garden, between curtains."""
    wide, tall, cloth = rng.uniform(0.28, 0.38), rng.uniform(0.3, 0.42), pick(rng, CLOTHS, 20)
    glass = pick(rng, ((160, 200, 230), (196, 214, 226), (140, 180, 160)))
    right, bottom = left + wide, top + tall
    return [
        Stroke(box(left - 0.02, top - 0.02, right + 0.02, bottom + 0.03), FRAME),
        Stroke(box(left, top, right, bottom), glass),
        Stroke(box(left, bottom - 0.3 * tall, right, bottom), mix(glass, (70, 120, 60), 0.6)),
        Stroke(outline((left + wide / 2, top), (left + wide / 2, bottom)), FRAME, width=0.015),
        Stroke(outline((left, top + tall / 2), (right, top + tall / 2)), FRAME, width=0.012),
        *_curtain(left - 0.06, top - 0.04, tall + 0.12, cloth),
        *_curtain(right - 0.02, top - 0.04, tall + 0.12, cloth),
    ]


def _curtain(left: float, top: float, tall: float, cloth: Colour) -> list[Stroke]:
    folds = [box(left + 0.02 * k, top, left + 0.02 * (k + 1), top + tall) for k in range(4)]
    return [Stroke(fold, darker(cloth, 0.15 * (k % 2))) for k, fold in enumerate(folds)]


def _picture(rng: np.random.Generator, left: float, top: float) -> list[Stroke]:
    hill = placed(outline((0.015, 0.125), (0.07, 0.06), (0.165, 0.125)), left, top)
    return [
        Stroke(box(left, top, left + 0.18, top + 0.14), pick(rng, ((60, 44, 34), (190, 150, 80), (30, 30, 32)))),
        Stroke(box(left + 0.015, top + 0.015, left + 0.165, top + 0.125), pick(rng, WALL, 20)),
        Stroke(hill, pick(rng, ((80, 110, 80), (90, 90, 140)), 20)),
    ]


def lounge(rng: np.random.Generator, size: int) -> np.ndarray:
    """A sofa and a standing lamp before the wall, a rug on the floor."""
    line, left = rng.uniform(0.68, 0.76), rng.uniform(0.02, 0.3)
    lamp = left + 0.66 if left < 0.18 else left - 0.08
    rug = Stroke(ellipse(left + 0.3, 0.93, 0.42, 0.07), pick(rng, CLOTHS, 20))
    strokes = [*_floor(rng, line), *_picture(rng, left + 0.2, 0.14), rug, *_sofa(pick(rng, CLOTHS), left, line)]
    shade = placed(outline((-0.05, 0.22), (0.05, 0.22), (0.09, 0.36), (-0.09, 0.36)), lamp, 0)
    strokes += [Stroke(outline((lamp, 0.3), (lamp, line + 0.06)), (60, 54, 50), width=0.012)]
    strokes += [Stroke(shade, (250, 236, 190))]
    return shaded(stamped(_wall(rng, size), strokes), halo(size, lamp, 0.3, 0.3), 0.3)


def _sofa(cloth: Colour, left: float, line: float) -> list[Stroke]:
    lefts = [left + 0.07 + 0.17 * k for k in range(3)]
    return [
        Stroke(box(left + 0.03, line - 0.24, left + 0.62, line + 0.1), darker(cloth, 0.35)),
        *(Stroke(box(x, line - 0.22, x + 0.16, line - 0.06), cloth) for x in lefts),
        *(Stroke(box(x, line - 0.06, x + 0.16, line + 0.03), paler(cloth, 0.15)) for x in lefts),
        *(Stroke(box(x, line - 0.13, x + 0.07, line + 0.1), darker(cloth, 0.25)) for x in (left, left + 0.58)),
    ]


def study(rng: np.random.Generator, size: int) -> np.ndarray:
    """A wall of books over a desk top."""
    wood, top, shelves = pick(rng, WOOD), rng.uniform(0.7, 0.82), int(rng.integers(3, 5))
    strokes = [Stroke(box(0, 0, 1, top), darker(wood, 0.45))]
    for foot in (top * np.arange(1, shelves + 1) / shelves - 0.03).tolist():
        strokes += [*_books(rng, foot, top / shelves), Stroke(box(0, foot, 1, foot + 0.02), wood)]
    desk = mix(wood, (255, 230, 190), 0.2)
    strokes += [Stroke(box(0, top, 1, 1), desk), Stroke(box(0, top, 1, top + 0.02), darker(wood, 0.3))]
    return shaded(stamped(fade(size, wood, wood), strokes), noise(rng, (size // 3, 6), size), 0.06)


def _books(rng: np.random.Generator, foot: float, room_above: float) -> list[Stroke]:
    """Upright books along a shelf, now and then a gap."""
    strokes, x = [], 0.0
    while x < 1:
        wide, tall, cover = rng.uniform(0.018, 0.045), rng.uniform(0.55, 0.85) * room_above, pick(rng, BOOKS, 16)
        title = box(x, foot - 0.8 * tall, x + wide, foot - 0.76 * tall)
        strokes += [Stroke(box(x, foot - tall, x + wide, foot), cover), Stroke(title, mix(cover, (240, 210, 130), 0.5))]
        x += wide + (rng.uniform(0.03, 0.12) if rng.uniform() < 0.08 else 0.002)
    return strokes


LAYOUTS = (room, lounge, study)
