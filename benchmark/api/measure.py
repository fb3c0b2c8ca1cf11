"""Models and predictions measured from Python, as the commands of the same names do. Needs no torch to import."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.result import Comparison, Result
from benchmark.data.external import made_elsewhere
from benchmark.data.split import Split, open_split
from benchmark.metrics.compute import result_of
from benchmark.metrics.paired import comparison
from benchmark.schemas import predictions as predictions_
from benchmark.schemas import result as files
from benchmark.schemas.predictions import Predictions
from d3s_dataset.errors import ModelError, ResultError
from d3s_dataset.identity import digest
from d3s_dataset.utils.extras import require

if TYPE_CHECKING:
    from torch import nn


def evaluate(
    model: "str | nn.Module | Callable[[Any], Any]",
    dataset: str | Path = "d3s",
    *,
    transform: Callable[[Any], Any] | None = None,
    config: str = "default",
    split: str = "validation",
    precision: str = "auto",
    devices: Sequence[str] | None = None,
    limit: int | None = None,
    cache: bool = True,
    out: str | Path | None = None,
) -> Result:
    """Measure a model on a split of a release.

    Args:
        model: a name as of `benchmark.run --model`; a `torch.nn.Module` over the 1000 classes, which is copied and
            left as it is; or a function from a batch of images to (n, 1000) logits, of any framework.
        dataset: `d3s`, a folder, or a Hub repo.
        transform: for a module, a PIL image (RGB) to (3, height, width) float32, and none for a network of timm, whose
            config has it. For a function, a PIL image to an array of one shape for all, stacked to the batch; without
            it, the batch is a list of PIL images. For a name, none: the model has its own.
        config: `default` or another config.
        split: `validation`, `train`, ...
        precision: of a name or module: `auto` (bf16, or tf32 on a GPU, where it changes little), `fp32`, `tf32` or
            `bf16`.
        devices: of a name or module: torch names such as `cuda:0`; None for all GPUs, else the CPU.
        limit: use the first so many images only.
        cache: whether a name's predictions are read from the cache and kept there; those of an object never are.
        out: folder to write the result and its predictions to; None: nothing is written but the cache.

    Raises:
        DatasetNotFound, ReleaseError: no such images, or one that cannot be read.
        ModelError: unknown, or an answer of another shape.
        MissingExtra: a package is missing; the error names the extra.

    Example:
        >>> import benchmark
        >>> import numpy as np
        >>> def always_daisy(images):  # a list of PIL images, as there is no transform
        ...     return np.tile(np.arange(1000) == 985, (len(images), 1)).astype(float)
        >>> result = benchmark.evaluate(always_daisy, "demo/d3s", limit=60)
        >>> result.n, int(result.predictions.prediction[0, 0])
        (60, 985)
    """
    require("score", "scipy")
    started = time.monotonic()
    images = open_split(dataset, config, split, limit)
    if isinstance(model, str) or _is_module(model):
        made = _of_network(model, images, transform, precision, devices, cache, started)
    elif callable(model):
        if precision != "auto" or devices:
            raise ModelError("precision and devices do nothing for a function, which runs as it is: leave them out")
        made = _of_function(model, images, transform, started)
    else:
        kind = type(model).__name__
        raise ModelError(f"expected a model's name, a torch.nn.Module or a function from images to logits, got {kind}")
    return _kept(Result(*made), out)


def score(
    predictions: Any,
    dataset: str | Path = "d3s",
    *,
    model_name: str,
    config: str = "default",
    split: str = "validation",
    out: str | Path | None = None,
) -> Result:
    """Score predictions made elsewhere, without torch.

    Args:
        predictions: a path (CSV, Parquet, NPZ), a DataFrame, a mapping, or an array in the split's order: `key` and one
            of `prediction` (the best class, or up to five), `probability` and `logits`, both (n, 1000); see
            `benchmark.data.external`.
        dataset: `d3s`, a folder, or a Hub repo.
        model_name: what to call the model.
        config: `default` or another config.
        split: `validation`, `train`, ...
        out: folder to write the result and its predictions to; None: nothing is written.

    Raises:
        DatasetNotFound, ReleaseError: no such images.
        ResultError: columns, classes or numbers other than expected; images that are doubled, missing or unknown.

    Example:
        >>> import benchmark
        >>> from d3s_dataset import load
        >>> data = load("demo/d3s", split="validation")
        >>> oracle = {"key": data["key"], "prediction": data["foreground"]}
        >>> benchmark.score(oracle, "demo/d3s", model_name="oracle").top1
        1.0
    """
    require("score", "scipy")
    made = made_elsewhere(predictions, open_split(dataset, config, split), model_name)
    return _kept(Result(result_of(made, model_name), made), out)


def compare(a: "Result | str | Path", b: "Result | str | Path") -> Comparison:
    """Compare two models on the images that both classified, image by image.

    Args:
        a: a result, or the path of one (JSON) or of its predictions (Parquet).
        b: the other; differences are `b` minus `a`.

    Raises:
        ResultError: a file that cannot be read, no image in common, or images that differ under the same key.

    Example:
        >>> import benchmark
        >>> import numpy as np
        >>> daisy, lemon = (
        ...     benchmark.evaluate(lambda images: np.eye(1000)[[label] * len(images)], "demo/d3s", limit=60)
        ...     for label in (985, 951)
        ... )
        >>> benchmark.compare(daisy, lemon).record.n
        60
    """
    require("score", "scipy")
    (first, one), (second, two) = _read(a), _read(b)
    return Comparison(comparison(first, second, [one, two]))


def load_result(path: str | Path) -> Result:
    """Read a result with its predictions, which lie next to it.

    Args:
        path: of the result (JSON), or of its predictions (Parquet), of which the result is computed anew.

    Raises:
        ResultError: a file that is missing or cannot be read.
    """
    path = Path(path)
    if path.suffix != ".json":
        require("score", "scipy")
        table = predictions_.read(path)
        return Result(result_of(table, str(path)), table)
    record = files.read(path)
    return Result(record, files.beside(path, record, "a result"))


def _is_module(model: object) -> bool:
    torch = sys.modules.get("torch")  # a module cannot be there without it
    return torch is not None and isinstance(model, torch.nn.Module)


def _of_network(
    model: Any,
    images: Split,
    transform: Callable[[Any], Any] | None,
    precision: str,
    devices: Sequence[str] | None,
    cache: bool,
    started: float,
) -> tuple[files.Result, Predictions]:
    from benchmark.cache.cache import Cache, Options
    from benchmark.inference.evaluate import Subject, measure_one
    from benchmark.inference.subjects import check_installed, subjects
    from benchmark.models.specs import Entry

    check_installed()
    if isinstance(model, str):
        if transform is not None:
            raise ModelError(f"{model} has its own transform: leave transform out, or pass the network itself")
        (subject,) = subjects([Entry(model)], None, Cache() if cache else None, devices)
    else:
        import copy

        from benchmark.models.custom import from_network

        kind = type(model)
        name = f"{kind.__module__}:{kind.__qualname__}"
        # A copy, for evaluation mode, memory format and device are the network's own state.
        subject = Subject(name, devices=devices, loaded=from_network(name, copy.deepcopy(model), transform, {}))
    return measure_one(subject, images, Options(precision, devices=devices), started)


def _of_function(
    function: Callable[[Any], Any], images: Split, transform: Callable[[Any], Any] | None, started: float
) -> tuple[files.Result, Predictions]:
    from benchmark.inference.evaluate import environment
    from benchmark.inference.functions import answers_of

    called = getattr(function, "__qualname__", None) or type(function).__qualname__
    name = f"{getattr(function, '__module__', None) or type(function).__module__}:{called}"
    said = answers_of(function, name, images, transform)
    facts = files.Provenance(
        model=files.Model(
            name=name,
            architecture=None,
            tag=None,
            kwargs={},
            digest=digest([said.prediction.tolist(), None if said.loss is None else said.loss.tolist()]),
            precision="unknown",
            transform={"transform": getattr(transform, "__qualname__", None) or repr(transform)},
        ),
        dataset=images.facts(),
        environment=environment(),
        seconds=time.monotonic() - started,
    )
    made = replace(images.predictions(said), provenance=facts.model_dump(mode="json"))
    return result_of(made, name), made


def _kept(result: Result, out: str | Path | None) -> Result:
    if out is not None:
        result.save(out)
    return result


def _read(given: Result | str | Path) -> tuple[Predictions, str]:
    if isinstance(given, Result):
        return given.predictions, given.model
    if not isinstance(given, str | Path):
        raise ResultError(f"expected a result or the path of one, got {type(given).__name__}")
    return load_result(given).predictions, str(given)
