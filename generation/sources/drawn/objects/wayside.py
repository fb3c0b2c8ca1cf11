"""Objects by the road and the shore: traffic lights, street signs, lighthouses."""

import numpy as np
from PIL import Image

from generation.sources.drawn.brush import Stroke, box, ellipse, outline, picture, placed, polar
from generation.sources.drawn.light import INK, PAPER, Colour, any_light, darker, mix, paler, pick, vary
from generation.sources.drawn.objects.letters import lettering, word

LAMPS: tuple[Colour, ...] = ((255, 50, 30), (255, 180, 30), (50, 240, 130))


def traffic_light(rng: np.random.Generator, size: int) -> Image.Image:
    """Three hooded lamps in an upright case, one or two of them lit, at times on a pole."""
    case = pick(rng, ((40, 42, 40), (34, 60, 44), (226, 176, 20), (60, 60, 64)), 7)
    strokes = [Stroke(box(-0.09, 1.3, 0.09, rng.uniform(1.5, 2.2)), (120, 122, 124), 90)] if rng.uniform() < 0.6 else []
    if rng.uniform() < 0.4:
        strokes += [Stroke(box(-0.78, -1.55, 0.78, 1.6), (24, 25, 26), 70)]
    strokes += [
        Stroke(box(-0.52, -1.36, 0.52, 1.36), darker(case, 0.3), 110),
        Stroke(box(-0.47, -1.3, 0.47, 1.3), case, 130),
    ]
    shining = int(rng.integers(3))
    for place, colour in enumerate(LAMPS):
        strokes += _lamp(rng, 0.86 * (place - 1), colour, place == shining, case)
    return picture(strokes, any_light(rng, 0.2), size, rng.normal(0, 0.06))


def _lamp(rng: np.random.Generator, y: float, colour: Colour, shining: bool, case: Colour) -> list[Stroke]:
    glass = vary(rng, colour, 8) if shining else mix(colour, (16, 16, 16), 0.8)
    centre = paler(glass, 0.55) if shining else paler(glass, 0.12)
    hood = np.concatenate([ellipse(0, y, 0.43, 0.43)[20:], [(0.43, y)], ellipse(0, y + 0.1, 0.36, 0.36)[20:][::-1]])
    return [
        Stroke(ellipse(0, y, 0.41, 0.41), darker(case, 0.55), 100),
        Stroke(ellipse(0, y + 0.02, 0.35, 0.35), glass, 120),
        Stroke(ellipse(0, y + 0.04, 0.2, 0.2), mix(glass, centre, 0.6), 130),
        Stroke(ellipse(0, y + 0.04, 0.1, 0.1), centre, 135),
        Stroke(hood, darker(case, 0.2), 210),
    ]


def street_sign(rng: np.random.Generator, size: int) -> Image.Image:
    """A stop sign, a warning diamond or crossed name plates, on a post."""
    shapes = (_stop_sign, _warning, _name_plates)
    return picture(
        shapes[int(rng.integers(len(shapes)))](rng), any_light(rng, 0.15), size, rng.normal(0, 0.08), relief=0.7
    )


def _post(rng: np.random.Generator, top: float, bottom: float) -> Stroke:
    return Stroke(box(-0.06, top, 0.06, bottom), vary(rng, (130, 132, 132)), 60)


def _stop_sign(rng: np.random.Generator) -> list[Stroke]:
    red = pick(rng, ((190, 24, 34), (172, 28, 32), (206, 40, 44)), 6)
    octagon = np.stack([polar((k + 0.5) * np.pi / 4, 1.0) for k in range(8)])
    rings = [Stroke(octagon * part, colour, 120) for part, colour in ((1.0, red), (0.97, (240, 238, 234)), (0.9, red))]
    return [_post(rng, 0.5, rng.uniform(1.2, 2.0)), *rings, *lettering("STOP", 0, 0, 1.42, 0.62, 0.11, (244, 242, 238))]


def _warning(rng: np.random.Generator) -> list[Stroke]:
    """A yellow diamond with an arrow, straight or bent."""
    yellow = pick(rng, ((250, 196, 20), (244, 180, 16)), 6)
    diamond = outline((0, -1), (1, 0), (0, 1), (-1, 0))
    rings = [Stroke(diamond * part, colour, 120) for part, colour in ((1.0, yellow), (0.95, INK), (0.9, yellow))]
    bend = rng.choice((-0.3, 0.0, 0.3))
    arrow = Stroke(outline((-bend, 0.5), (-bend, 0.15), (bend / 2, -0.15), (bend / 2, -0.45)), INK, 120, 0.12)
    head = Stroke(placed(outline((-0.17, -0.36), (0, -0.64), (0.17, -0.36)), bend / 2, 0), INK, 120)
    return [_post(rng, 0.8, rng.uniform(1.3, 2.0)), *rings, arrow, head]


def _name_plates(rng: np.random.Generator) -> list[Stroke]:
    plate = pick(rng, ((20, 110, 70), (24, 70, 150), (16, 96, 60)), 7)
    strokes = [_post(rng, -0.6, rng.uniform(0.9, 1.5))]
    for y, lean in ((-0.45, rng.normal(0, 0.08)), (0.0, rng.normal(0, 0.08)))[: int(rng.integers(1, 3))]:
        corners = outline((-1.1, y - 0.2 - lean), (1.1, y - 0.2 + lean), (1.1, y + 0.2 + lean), (-1.1, y + 0.2 - lean))
        strokes += [
            Stroke(corners, PAPER, 120),
            Stroke(placed(placed(corners, 0, -y) * (0.97, 0.88), 0, y), plate, 118),
        ]
        strokes += lettering(word(rng), 0, y, 1.8, 0.24, 0.05, (240, 242, 240))
    return strokes


def beacon(rng: np.random.Generator, size: int) -> Image.Image:
    """A tapering lighthouse with bands, windows, gallery and lamp room, on a rock."""
    wall = pick(rng, ((238, 236, 230), (228, 226, 218), (240, 238, 238)), 5)
    band = pick(rng, ((196, 40, 34), (30, 34, 44), (180, 50, 40), (238, 236, 230)), 6)
    top, base = rng.uniform(0.24, 0.3), rng.uniform(0.36, 0.5)
    strokes = [*_rock(rng), *_tower(rng, wall, band, top, base), *_lantern(rng, band, top)]
    return picture(strokes, any_light(rng, 0.1), size, rng.normal(0, 0.03), relief=1.6)


def _tower(rng: np.random.Generator, wall: Colour, band: Colour, top: float, base: float) -> list[Stroke]:
    levels = np.linspace(-1, 1.2, 2 * int(rng.integers(2, 4)) + 2)
    widths = np.interp(levels, (-1, 1.2), (top, base))
    strokes = []
    for k in range(len(levels) - 1):
        for part, tone in ((1.0, 0.42), (0.9, 0.26), (0.76, 0.12), (0.55, 0.0)):
            left, right = widths[k] * part, widths[k + 1] * part
            edges = outline((-left, levels[k]), (left, levels[k]), (right, levels[k + 1]), (-right, levels[k + 1]))
            strokes.append(Stroke(edges, mix((wall, band)[k % 2], (40, 44, 60), tone), round(150 + 60 * (1 - part))))
    windows = [Stroke(box(-0.05, y, 0.05, y + 0.15), (50, 56, 66), 150) for y in (-0.7, -0.05, 0.5)]
    return [*strokes, *windows, Stroke(box(-0.1, 0.92, 0.1, 1.2), (90, 60, 44), 150)]


def _lantern(rng: np.random.Generator, band: Colour, top: float) -> list[Stroke]:
    iron = mix(band, (40, 40, 44), 0.6)
    bars = [Stroke(outline((x, -1.4), (x, -1.08)), iron, 180, 0.025) for x in np.linspace(-0.18, 0.18, 5)]
    rails = [Stroke(outline((x, -1.2), (x, -1.04)), iron, 190, 0.02) for x in np.linspace(-top - 0.1, top + 0.1, 8)]
    return [
        Stroke(box(-0.19, -1.42, 0.19, -1.04), pick(rng, ((255, 240, 170), (170, 200, 214)), 8), 150),
        *bars,
        Stroke(outline((-0.24, -1.4), (0, -1.66), (0.24, -1.4)), iron, 180),
        Stroke(outline((0, -1.62), (0, -1.8)), iron, 150, 0.03),
        Stroke(box(-top - 0.12, -1.06, top + 0.12, -0.98), iron, 200),
        *rails,
        Stroke(outline((-top - 0.12, -1.2), (top + 0.12, -1.2)), iron, 190, 0.025),
    ]


def _rock(rng: np.random.Generator) -> list[Stroke]:
    stone, strokes = pick(rng, ((110, 104, 96), (96, 100, 84), (130, 120, 106)), 6), []
    for x in rng.permutation(np.linspace(-0.6, 0.6, 7)):
        corners = np.stack([polar(a, rng.uniform(0.2, 0.34)) for a in np.linspace(0, 6.28, 7, endpoint=False)]) * (
            1,
            0.7,
        )
        strokes.append(Stroke(placed(corners, x, 1.24), vary(rng, stone, 12), int(rng.integers(70, 140))))
    return strokes


DRAWN = {437: beacon, 919: street_sign, 920: traffic_light}
