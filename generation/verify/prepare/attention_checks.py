"""Gold (attention-check) questions: items with known answers, to detect careless annotators. Pure.

A gold question asks for the labels of one row and shows the guide (the composite image) of another. A guide is a photo
of the object pasted on a photo of the background, so its content is known without annotation:

    right             same class, same background                         yes, yes
    wrong class       same background, a class of another superclass      no, yes
    wrong background  same class, a background that cannot be mistaken    yes, no
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from d3s_dataset.identity import digest
from d3s_dataset.taxonomy import superclass_of
from generation.verify.prepare.sampling import Candidate, shuffled

# Backgrounds that cannot be confused; rain and night can occur in any of the outdoor scenes.
_APART = {
    "grass": ("cave", "indoors", "snow", "sand"),
    "road": ("cave", "water"),
    "forest": ("cave", "indoors", "sand"),
    "water": ("cave", "indoors", "road"),
    "sand": ("forest", "indoors", "grass"),
    "indoors": ("forest", "snow", "sand"),
    "snow": ("grass", "sand", "cave"),
    "cave": ("grass", "road", "snow"),
}


@dataclass(frozen=True)
class Pair:
    """A gold question: the row whose labels are asked for, the row whose guide is shown, the right answers."""

    asked: Candidate
    shown: Candidate
    expected: dict[str, str]


def known_pairs(rows: Sequence[Candidate], backgrounds: Sequence[str], wanted: int, seed: int) -> list[Pair]:
    """Return up to `wanted` gold questions, the three kinds in turn; fewer where the rows allow no more.

    Args:
        rows: rows with guides.
        backgrounds: names of the background labels; with other names than D3S's there are no wrong backgrounds.
        wanted: number of questions.
        seed: random seed.
    """
    index = _Index(rows, backgrounds)
    kinds = (index.right, index.wrong_class, index.wrong_background)
    streams = [_stream(rows, kind, seed) for kind in kinds]
    found: list[Pair] = []
    while streams and len(found) < wanted:
        stream = streams.pop(0)
        if pair := next(stream, None):
            found.append(pair)
            streams.append(stream)
    return found


def _stream(rows: Sequence[Candidate], kind: Callable[[Candidate], list[Candidate]], seed: int) -> Iterator[Pair]:
    name = kind.__name__
    for asked in shuffled(rows, seed, name):
        if others := kind(asked):
            shown = others[int(digest([seed, name, asked.key])[:8], 16) % len(others)]
            holds = {
                "foreground": asked.foreground == shown.foreground,
                "background": asked.background == shown.background,
            }
            yield Pair(asked, shown, {question: "yes" if each else "no" for question, each in holds.items()})


class _Index:
    """Rows by their labels, each list in the order of the keys."""

    def __init__(self, rows: Sequence[Candidate], backgrounds: Sequence[str]) -> None:
        self.names = list(backgrounds)
        self.by_background: dict[int, list[Candidate]] = defaultdict(list)
        self.by_class: dict[int, list[Candidate]] = defaultdict(list)
        for row in sorted(rows, key=lambda row: row.key):
            self.by_background[row.background].append(row)
            self.by_class[row.foreground].append(row)

    def right(self, asked: Candidate) -> list[Candidate]:
        same = self.by_class[asked.foreground]
        return [row for row in same if row.background == asked.background and row.key != asked.key]

    def wrong_class(self, asked: Candidate) -> list[Candidate]:
        own = superclass_of(asked.foreground)
        return [row for row in self.by_background[asked.background] if superclass_of(row.foreground) != own]

    def wrong_background(self, asked: Candidate) -> list[Candidate]:
        apart = _APART.get(self.names[asked.background], ())
        return [row for row in self.by_class[asked.foreground] if self.names[row.background] in apart]
