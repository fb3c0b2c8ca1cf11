"""The benchmark's numbers as a metric of Hugging Face's `evaluate`, without the Hub.

`evaluate.load` fetches code from the Hub; this class is imported instead:

    from benchmark.metric import D3SMetric

    metric = D3SMetric()
    metric.add_batch(predictions=..., references=..., backgrounds=...)
    metric.compute()
"""

from typing import TYPE_CHECKING, Any

import datasets
import numpy as np

from benchmark.metrics.accuracy import error_ratio, gap, group_means, mean, reweighted, worst
from d3s_dataset.taxonomy import background_names
from d3s_dataset.utils.extras import late

if TYPE_CHECKING:
    import evaluate
else:
    evaluate = late("evaluate", "score")

_DESCRIPTION = "Top-1 over all images, per background, on the worst background, and the gap between them."
_CITATION = "Kattakinda, Levine, Feizi: Invariant Learning via Diffusion Dreamed Distribution Shifts, arXiv 2211.10370"
_INPUTS = """
Args:
    predictions: predicted class of each image, 0..999.
    references: true class of each image, 0..999.
    backgrounds: background label of each image, 0..9.
    names: the backgrounds of the release in label order, as its `background` feature lists them; D3S's without it.

Returns:
    `top1`, `top1_mean_of_backgrounds`, `gap`, `worst_background` (None without images), `top1_<background>`,
    `error_ratio_<background>` and `n_<background>`; numbers in [0, 1], NaN for an empty group.
"""


class D3SMetric(evaluate.Metric):
    """Accuracy across backgrounds, from labels alone; intervals and the rest: `python -m benchmark.score`."""

    def _info(self) -> evaluate.MetricInfo:
        inputs = ("predictions", "references", "backgrounds")
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_INPUTS,
            features=datasets.Features({name: datasets.Value("int64") for name in inputs}),
        )

    def _compute(self, *, predictions: Any = None, references: Any = None, **others: Any) -> dict[str, Any]:
        names = others.get("names") or background_names()
        backgrounds = np.asarray(others["backgrounds"], dtype=np.int64)
        outside = backgrounds[(backgrounds < 0) | (backgrounds >= len(names))]
        if len(outside):
            raise ValueError(f"expected background labels in 0..{len(names) - 1}, got {outside[0]}")
        right = np.asarray(predictions, dtype=np.int64) == np.asarray(references, dtype=np.int64)
        means, sizes = group_means(right, backgrounds, len(names))
        overall, lowest = mean(right), worst(means)
        ratios = error_ratio(overall, means)
        answer = {"top1": overall, "top1_mean_of_backgrounds": reweighted(means), "gap": gap(overall, means)}
        answer |= {"worst_background": None if lowest is None else names[lowest]}
        for label, name in enumerate(names):
            answer |= {f"top1_{name}": float(means[label]), f"n_{name}": int(sizes[label])}
            answer |= {f"error_ratio_{name}": float(ratios[label])}
        return answer
