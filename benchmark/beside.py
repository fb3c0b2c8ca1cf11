"""A result and the predictions that lie beside it, as benchmark.run leaves them."""

from pathlib import Path

from benchmark import predictions as predictions_
from benchmark import results
from benchmark.predictions import Predictions
from d3s_dataset.errors import ResultError


def beside(path: Path, result: results.Result, what: str) -> Predictions:
    """Return the predictions that lie beside a result.

    Args:
        path: of the result.
        result: its content.
        what: who needs them, for errors.

    Raises:
        ResultError: none are there, or they are of another model or of other images.
    """
    there = path.with_suffix(".parquet")
    if not there.is_file():
        raise ResultError(f"no predictions at {there}: {what} needs them beside {path}, as benchmark.run leaves them")
    found = predictions_.read(there)
    facts = results.provenance(found.provenance, str(there))
    for name, own, other in (("model", result.model, facts.model), ("dataset", result.dataset, facts.dataset)):
        if own != other:
            raise ResultError(
                f"{there} is of another {name} ({other.name}, {other.digest[:8]}) than {path} ({own.name}, "
                f"{own.digest[:8]}): expected the two files of one benchmark.run"
            )
    return found
