"""Screens of a release's rows as predictions of the verdicts: cross-fitted logistic regression. Pure but for reading.

Each row is predicted by a model that was fitted without its verdict, so that fitting on the verdicts does not bias the
estimate that uses them (Zrnic, Candes, arXiv 2309.16598).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from d3s_dataset import manifest as manifests
from d3s_dataset.manifest import Manifest
from d3s_dataset.schema import column_names
from d3s_dataset.utils.extras import late
from generation.verify.aggregate.prediction_powered import Predictions

PREFIXES = ("screen_clip_", "screen_vlm_", "fidelity_")
COLUMNS = tuple(name for name in column_names() if name.startswith(PREFIXES))
FOLDS = 10
_MOST_NULL = 0.5
_LEAST = 2  # verdicts of each kind, below which nothing can be fitted


def read(release: Path, manifest: Manifest, split: str, keys: Sequence[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return the usable columns, name -> float (N,) with NaN for null, and one line per reason for the other ones.

    Args:
        release: its folder.
        manifest: its manifest.
        split: the split.
        keys: the rows wanted, in order.
    """
    parts = []
    for shard in manifest.select("default", split):
        file = manifests.open_shard(release, shard)
        named = [name for name in COLUMNS if name in file.schema_arrow.names]
        parts.append(file.read(["key", *named]))
    table = pa.concat_tables(parts, promote_options="default")
    place = {key: number for number, key in enumerate(table["key"].to_pylist())}
    order = [place[key] for key in keys]
    found = {}
    for name in [name for name in COLUMNS if name in table.column_names]:
        found[name] = table[name].to_numpy(zero_copy_only=False).astype(float)[order]  # a null is NaN
    reasons = {name: _why_not(found.get(name)) for name in COLUMNS}
    lines = []
    for why in dict.fromkeys(each for each in reasons.values() if each):
        lines.append(f"{', '.join(name for name, each in reasons.items() if each == why)}: {why}")
    return {name: values for name, values in found.items() if not reasons[name]}, lines


def _why_not(values: np.ndarray | None) -> str | None:
    if values is None or np.isnan(values).all():
        return "not in this release"
    if np.isnan(values).mean() > _MOST_NULL:
        return "null in more than half of the rows"
    return "the same in all rows" if np.nanmin(values) == np.nanmax(values) else None


def predictions(
    columns: dict[str, np.ndarray], drawn: np.ndarray, right: np.ndarray, folds: int = FOLDS
) -> Predictions | None:
    """Return predictions of the verdicts for all rows; None where they cannot be fitted (no columns, or one verdict).

    Args:
        columns: of `read`, each (N,).
        drawn: rows with a verdict, int (n,).
        right: their verdicts, 0 or 1, (n,).
        folds: number of models, each fitted without its share of the verdicts.
    """
    few = int(min(right.sum(), len(right) - right.sum()))
    if not columns or few < _LEAST:
        return None
    linear, selection = late("sklearn.linear_model", "verify"), late("sklearn.model_selection", "verify")
    features = np.stack([_normal_scores(each) for each in columns.values()], axis=1)
    splitter = selection.StratifiedKFold(min(folds, few), shuffle=True, random_state=0)
    values, fold = [], np.zeros(len(drawn), int)
    for number, (rest, held) in enumerate(splitter.split(drawn, right)):
        model = linear.LogisticRegression().fit(features[drawn[rest]], right[rest])
        values.append(model.predict_proba(features)[:, 1])
        fold[held] = number
    return Predictions(np.stack(values), fold)


def _normal_scores(values: np.ndarray) -> np.ndarray:
    """Return normal quantiles of the ranks (CLIP's probabilities crowd at 0 and 1); 0, the median, for null."""
    stats = late("scipy.stats", "verify")
    known = ~np.isnan(values)
    scores = np.zeros(len(values))
    scores[known] = stats.norm.ppf((stats.rankdata(values[known]) - 0.5) / known.sum())
    return scores
