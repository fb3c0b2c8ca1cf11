"""Progress of a run: one bar per worker and one in total on a terminal, otherwise a plain line every 30 s."""

import sys
import time
from types import TracebackType
from typing import Any

from d3s_dataset.utils.cli import note

_SECONDS = 30.0  # between plain lines


def duration(hours: float) -> str:
    """Format hours, in minutes below one hour."""
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.1f} min"


class Watch:
    """Progress display on stderr: rows, images per second, time left. A context manager.

    Args:
        total: number of rows of the release.
        made: number of rows that exist already.
    """

    def __init__(self, total: int, made: int) -> None:
        from tqdm import tqdm

        self._terminal = sys.stderr.isatty()
        self.total, self.made, self._before = total, made, made
        self._began = self._said = time.monotonic()
        self._bars: dict[str, Any] = {}
        # Redrawn by `step` only: tqdm's timer thread would outlive a killed terminal.
        self._bar = tqdm(total=total, initial=made, desc="all", unit="img", leave=False, disable=not self._terminal)

    def __enter__(self) -> "Watch":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: TracebackType | BaseException | None) -> None:
        for bar in (*self._bars.values(), self._bar):
            bar.close()

    def step(self, lane: str, rows: int) -> None:
        """Count rows that a worker has made. Rows that are regenerated for a screen count once."""
        self.made = min(self.made + rows, self.total)
        if self._terminal:
            self._lane(lane).update(rows)
            self._bar.update(self.made - self._bar.n)
        elif time.monotonic() - self._said >= _SECONDS:
            self._said = time.monotonic()
            note(self.line())

    def line(self) -> str:
        """Return the progress in one line."""
        rate = (self.made - self._before) / max(time.monotonic() - self._began, 1e-9)
        left = f"{duration((self.total - self.made) / rate / 3600)} left" if rate else "no image yet"
        return f"{self.made:,} of {self.total:,} images, {rate:.2f} img/s, {left}"

    def _lane(self, name: str) -> Any:
        from tqdm import tqdm

        if name not in self._bars:
            # Below the total, which shows the time left.
            place = len(self._bars) + 1
            self._bars[name] = tqdm(desc=name, unit="img", leave=False, position=place)
        return self._bars[name]
