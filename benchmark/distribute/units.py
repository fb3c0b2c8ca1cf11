"""The blocks of each part. No torch."""

from collections.abc import Iterator, Sequence

from benchmark.cache.blocks import Span, spans

LEAST = 16  # blocks of one model: for fewer, loading its weights on one more machine costs more than it saves

Share = list[tuple[int, list[Span]]]  # index of a task, and its blocks


def share(sizes: Sequence[int], part: int, of: int) -> Share:
    """Return the blocks of one part, in the order in which it works.

    All parts together have every block once, and as many as each other, give or take one per task. Where the tasks are
    long, each is divided among all parts, since models differ in speed; else the list of all blocks is cut into `of`
    runs, so that weights are loaded as rarely as possible. Parts begin at different tasks.

    Args:
        sizes: number of images of each task.
        part: which, from 1.
        of: the number of parts.
    """
    cut = [spans(n) for n in sizes]
    if min(map(len, cut)) >= of * LEAST:
        # Turned from task to task, so that what does not divide evenly falls to each part in turn.
        mine = [(at, _run(each, (part - 1 + at) % of, of)) for at, each in enumerate(cut)]
    else:
        mine = list(grouped(_run([(at, span) for at, each in enumerate(cut) for span in each], part - 1, of)))
    first = len(mine) * (part - 1) // of
    return [*mine[first:], *mine[:first]]


def grouped(units: Sequence[tuple[int, Span]]) -> Iterator[tuple[int, list[Span]]]:
    """Yield each task of some units, in order, with its blocks."""
    for at in dict.fromkeys(task for task, _ in units):
        yield at, [span for task, span in units if task == at]


def _run(items: list, at: int, of: int) -> list:
    return items[len(items) * at // of : len(items) * (at + 1) // of]
