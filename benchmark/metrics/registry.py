"""Table of the metrics other than accuracy of a group of images, as in a result, its tables, report and board.

Each is a function of predictions and of one array of group labels; an empty group is NaN, never 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmark.schemas.predictions import Predictions
from d3s_dataset.utils.plugins import PluginTable

Compute = Callable[[Predictions, np.ndarray, int], np.ndarray]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        heading: of its column, with its unit unless it is a share.
        compute: (predictions, (n,) int group of each image in 0..count-1, count) to (count,) float64. Rows are
            sorted by key, and keys themselves (a third of the memory) are None.
        version: raised when the same predictions give another number: boards then compute it anew.
        percent: whether it is a share, which tables show in percent; else a number, shown with two decimals.
        terminal: whether the table on a terminal has a column of it; reports and boards always do.
    """

    heading: str
    compute: Compute
    version: int = 1
    percent: bool = True
    terminal: bool = False


METRICS: PluginTable[Metric] = PluginTable(
    "d3s.metrics",
    "metric",
    {
        "ece": "benchmark.metrics.calibration:ECE",
        "brier": "benchmark.metrics.calibration:BRIER",
        "loss": "benchmark.metrics.calibration:LOSS",
        "aurc": "benchmark.metrics.calibration:AURC",
    },
    Metric,
)


def versions() -> dict[str, int]:
    """Return the version of every metric, which names what a board may use again."""
    return {name: each.version for name, each in METRICS.items()}
