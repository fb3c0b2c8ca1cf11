"""Letters as lines, so that a drawn word needs no font file and looks the same everywhere."""

import numpy as np

from generation.sources.drawn.brush import Stroke
from generation.sources.drawn.light import Colour

# Each letter is one or more lines of points on a grid: two digits a point, column 0-2 and row 0-4 from the top.
LETTERS = {
    "A": "04 01 10 21 24/02 22",
    "B": "00 04 14 23 12 02/12 21 10 00",
    "C": "20 10 01 03 14 24",
    "D": "00 10 21 23 14 04 00",
    "E": "20 00 04 24/02 12",
    "F": "20 00 04/02 12",
    "G": "20 10 01 03 14 24 22 12",
    "H": "00 04/02 22/20 24",
    "I": "10 14",
    "K": "00 04/20 02 24",
    "L": "00 04 24",
    "M": "04 00 12 20 24",
    "N": "04 00 24 20",
    "O": "10 01 03 14 23 21 10",
    "P": "04 00 10 21 12 02",
    "R": "04 00 10 21 12 02 24",
    "S": "20 10 01 12 23 14 04",
    "T": "00 20/10 14",
    "U": "00 03 14 23 20",
    "V": "00 14 20",
    "W": "00 04 12 24 20",
    "Y": "00 12 20/12 14",
}


def lettering(
    text: str, x: float, y: float, across: float, down: float, width: float, colour: Colour, height: int = 125
) -> list[Stroke]:
    """Strokes that write `text`, centred on (x, y) in a field `across` by `down`, with lines of `width`."""
    step = across / len(text)
    size = np.array([min(step * 0.68, down) / 2, down / 4])
    strokes = []
    for place, letter in enumerate(text):
        corner = np.array([x - across / 2 + (place + 0.5) * step, y - down / 2]) - (size[0], 0)
        for line in LETTERS.get(letter, "").split("/"):
            points = np.array([[int(column), int(row)] for column, row in line.split()], dtype=float)
            strokes.append(Stroke(points.reshape(-1, 2) * size + corner, colour, height, width))
    return [stroke for stroke in strokes if len(stroke.points)]


def word(rng: np.random.Generator) -> str:
    """Five to eight letters that read like a name: consonants and vowels in turn."""
    length = int(rng.integers(5, 9))
    return "".join(str(rng.choice(list(("BCDFGHKLMNPRSTVW", "AEIOU")[k % 2]))) for k in range(length))
