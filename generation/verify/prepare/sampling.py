"""Which images people look at, and in which tasks. Pure; all chance is hashing, so that a seed gives the same tasks.

Images are drawn without looking at any classifier: a sample chosen by what models get wrong says nothing of the rest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from d3s_dataset.identity import digest

T = TypeVar("T")


@dataclass(frozen=True)
class Candidate:
    """A row that can be asked about: its key, labels, foreground photo, and where in the guide that photo lies."""

    key: str
    foreground: int
    background: int
    photo: str
    box: tuple[int, int, int, int]


def shuffled(items: Iterable[T], seed: int, *what: str) -> list[T]:
    """Return items in a random order that depends on the seed and on each item alone.

    The order of the input plays no part, and the first n of a larger set stay in their order.
    """
    return sorted(items, key=lambda item: digest([seed, *what, str(getattr(item, "key", item))]))


def sample(rows: Sequence[Candidate], wanted: int | None, seed: int) -> tuple[list[Candidate], str]:
    """Return `wanted` rows drawn at random (all where None), and how they were drawn, in words."""
    order = shuffled(rows, seed, "draw")
    if wanted is None or wanted >= len(order):
        return order, f"all {len(order)}"
    return order[:wanted], f"random:{wanted} of {len(order)}, seed {seed}"


def deal(items: Sequence[T], per_task: int) -> list[list[T]]:
    """Divide items into tasks of at most `per_task`, as equal as can be."""
    count = -(-len(items) // per_task)
    return [list(items[number::count]) for number in range(count)]
