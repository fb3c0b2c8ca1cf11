"""Decoded images of the models run before, in memory, for those that prepare them alike. Needs no torch."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmark.cache.blocks import Span

_SHARE = 4  # one part in so many of the memory that is free at the start
_CGROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


class Decoded:
    """Blocks of decoded images by content, transform and span.

    When it is full, blocks of other transforms make room; those of the same one stay, since the next model asks for
    them in the same order, and what does not fit is decoded again.

    Args:
        most: bytes that may be held; None: a quarter of the memory that is free now.
    """

    def __init__(self, most: int | None = None) -> None:
        self.most = free_memory() // _SHARE if most is None else most
        self.held = 0
        self._blocks: dict[tuple[str, bytes, Span], np.ndarray] = {}

    def get(self, content: str, transform: bytes, span: Span) -> np.ndarray | None:
        """Return the images of a span, or None where they are not held."""
        return self._blocks.get((content, transform, span))

    def put(self, content: str, transform: bytes, span: Span, pixels: np.ndarray) -> None:
        """Hold a copy of a span's images, if there is room."""
        self._make_room(pixels.nbytes, transform)
        if self.held + pixels.nbytes <= self.most:
            self._blocks[content, transform, span] = pixels.copy()
            self.held += pixels.nbytes

    def _make_room(self, size: int, transform: bytes) -> None:
        if size > self.most:
            return
        for key in [each for each in self._blocks if each[1] != transform]:
            if self.held + size <= self.most:
                return
            self.held -= self._blocks.pop(key).nbytes


def free_memory() -> int:
    """Return how many bytes this process may still use: the machine's, or its control group's; 0 where nothing says."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kilobytes = next(line.split()[1] for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return 0
    return min([int(kilobytes) * 1024, *_left_in_groups()])


def _left_in_groups() -> Iterator[int]:
    """Yield the bytes left in each control group (version 2) that this process is in."""
    try:
        own = next(line[3:] for line in _OWN.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return
    place = _CGROUPS / own.lstrip("/")
    for each in (place, *place.parents):
        if each != _CGROUPS and _CGROUPS not in each.parents:
            return
        try:
            most, used = ((each / f"memory.{name}").read_text().strip() for name in ("max", "current"))
        except OSError:  # the root has none
            continue
        if most != "max":
            yield max(0, int(most) - int(used))
