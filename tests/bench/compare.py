"""Time ways of doing the same thing in one run, in turn, and print how many times as fast as the first each is."""

import statistics
import time
from collections.abc import Callable

from d3s_dataset.utils.cli import cores
from tests.bench.ratios import note


def compare(label: str, rounds: int, **ways: Callable[[], object]) -> dict[str, float]:
    """Run each way `rounds` times in turn; print and return its median seconds; ratios of what is ours are noted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, run in ways.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    first = next(iter(medians.values()))
    print(f"\n{label} ({cores()} cores, median of {rounds})")
    for name, median in medians.items():
        print(f"  {name:<52} {median:7.2f} s   {first / median:5.2f} x")
        if "ours" in name:
            note(f"{label}, {name}", first / median)
    return medians
