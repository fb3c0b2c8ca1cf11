"""Random sampling of images and assignment to tasks. Pure: all randomness is hashing, so a seed gives the same tasks.

The sample does not depend on any classifier: one selected by model errors would not be representative.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from d3s_dataset.identity import digest

T = TypeVar("T")


@dataclass(frozen=True)
class Candidate:
    """A row that can be annotated: key, labels, foreground photo, and the photo's box in the guide."""

    key: str
    foreground: int
    background: int
    photo: str
    box: tuple[int, int, int, int]


def shuffled(items: Iterable[T], seed: int, *what: str) -> list[T]:
    """Return items in a random order that depends only on the seed and on each item.

    The order of the input plays no part, and the first n of a larger set stay in their order.
    """
    return sorted(items, key=lambda item: digest([seed, *what, str(getattr(item, "key", item))]))


def sample(rows: Sequence[Candidate], wanted: int | None, seed: int) -> tuple[list[Candidate], str]:
    """Return `wanted` rows sampled at random (all where None), and a description of the sample."""
    order = shuffled(rows, seed, "draw")
    if wanted is None or wanted >= len(order):
        return order, f"all {len(order)}"
    return order[:wanted], f"random:{wanted} of {len(order)}, seed {seed}"


def deal(items: Sequence[T], per_task: int) -> list[list[T]]:
    """Divide items into tasks of at most `per_task`, of equal size up to one."""
    count = -(-len(items) // per_task)
    return [list(items[number::count]) for number in range(count)]
