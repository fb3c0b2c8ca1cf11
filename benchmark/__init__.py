"""Evaluation on D3S: predictions of models on a release, and the metrics computed from them.

From Python::

    import benchmark

    result = benchmark.evaluate("convnext_base", "org/d3s")  # a name, a torch.nn.Module, or a function
    result = benchmark.score("preds.csv", "org/d3s", model_name="mine")  # predictions made elsewhere
    benchmark.compare(result, benchmark.load_result("results/OTHER.json"))

and as commands: `python -m benchmark` lists them. Two halves: from `predictions` to `score` and `compare` nothing needs
torch, for all metrics are functions of predictions; from `models` on, up to `run` and `train`, the rest makes
predictions and models. Importing the package imports neither half.
"""

from typing import TYPE_CHECKING

from d3s_dataset.utils.late import late_names

if TYPE_CHECKING:
    from benchmark.api.measure import compare, evaluate, load_result, score
    from benchmark.api.result import Comparison, Result

__all__ = ["Comparison", "Result", "compare", "evaluate", "load_result", "score"]

late_names(
    __name__,
    {name: "benchmark.api.result" if name[0].isupper() else "benchmark.api.measure" for name in __all__},
)
