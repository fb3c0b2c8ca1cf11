"""Results that are given to `benchmark.realism`, matched to timm's published names and laid out as columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic_core import from_json

from benchmark.schemas.identity import release_of
from benchmark.schemas.result import Dataset, Model, Result, content_of, parse
from benchmark.schemas.validity import RealResult
from benchmark.validity.correlation import log_odds
from benchmark.validity.published import Published
from benchmark.validity.real_sets import REAL_SETS
from d3s_dataset.errors import ResultError

_GUIDES = "_guides"


@dataclass(frozen=True, eq=False)
class Table:
    """Models that have both a result on the release and published accuracies.

    Attributes:
        dataset: the images of the results.
        names: (m,) of the models as measured.
        published: (m,) their names in timm's tables.
        top1: (m,) on the release.
        controls: config -> (m,) top-1; NaN where a model has no result on it.
        real: column of a real set -> (m,) log odds of top-1 on a group, or of one group less those of another.
        left_out: what was given and is not in the table -> why.
    """

    dataset: Dataset
    names: list[str]
    published: list[str]
    top1: np.ndarray
    controls: dict[str, np.ndarray]
    real: dict[str, np.ndarray]
    left_out: dict[str, str]


def read_inputs(paths: Sequence[Path]) -> tuple[dict[Path, Result], dict[Path, RealResult]]:
    """Read results on a release, and results on real sets.

    Raises:
        ResultError: a file that is neither, or that cannot be read.
    """
    measured: dict[Path, Result] = {}
    real: dict[Path, RealResult] = {}
    for path in paths:
        content = content_of(path)
        if _is_real(content):
            real[path] = parse(RealResult, content, str(path))
        else:
            measured[path] = parse(Result, content, str(path))
    if not measured:
        raise ResultError("no result on a release of D3S: expected JSON files that benchmark.run wrote")
    return measured, real


def _is_real(content: bytes) -> bool:
    try:
        fields = from_json(content)
    except ValueError:
        return False
    return isinstance(fields, dict) and "real_set" in fields


def tabulate(
    measured: Mapping[Path, Result],
    real: Mapping[Path, RealResult],
    published: Published,
    alias: Mapping[str, str] | None = None,
) -> Table:
    """Return the models of results that have published accuracies.

    Args:
        measured: results on the default config (else the guides) of one release, and on its controls.
        real: results on real sets.
        published: timm's accuracies.
        alias: name of a result's model -> its name in timm's tables, where the result does not hold it.

    Raises:
        ResultError: results on several releases or splits, none on a config that controls belong to, a model twice, an
            alias that is no published model, or real sets of different images.
    """
    alias = dict(alias or {})
    if unknown := [name for name in alias.values() if name not in published.models]:
        raise ResultError(
            f"--alias names {unknown[0]!r}, which is not in {published.source}: expected a name from there"
        )
    about = _about(measured)
    left_out: dict[str, str] = {}
    main: dict[str, Result] = {}
    controls: dict[str, dict[str, float]] = {}
    for path, each in measured.items():
        config, name = each.dataset.config, published_name(each.model, alias, published)
        if name is None:
            left_out[str(path)] = f"{each.model.name} is not in {published.source}; --alias NAME=TIMM_NAME names it"
        elif config == about:
            if name in main:
                raise ResultError(f"expected each model once on config {about}, got {name} twice (again in {path})")
            main[name] = each
        elif _is_control_of(config, about):
            controls.setdefault(config, {})[name] = each.metrics.top1 if each.metrics.top1 is not None else np.nan
        else:
            left_out[str(path)] = f"config {config} is no control of {about}"
    names = list(main)
    facts = next(each.dataset for each in measured.values() if each.dataset.config == about)
    columns = {
        config: np.array([found.get(name, np.nan) for name in names]) for config, found in sorted(controls.items())
    }
    top1 = np.array(
        [np.nan if (value := main[name].metrics.top1) is None else value for name in names], dtype=np.float64
    )
    return Table(facts, [main[name].model.name for name in names], names, top1, columns,
                 _real_columns(real, names, alias, published, left_out), left_out)  # fmt: skip


def published_name(model: Model, alias: Mapping[str, str], published: Published) -> str | None:
    """Return a model's name in timm's tables: the alias, else timm's tag of its weights; None for no such row."""
    name = alias.get(model.name, model.tag if model.checkpoint is None else None)
    return name if name in published.models else None


def _about(measured: Mapping[Path, Result]) -> str:
    facts = {path: each.dataset for path, each in measured.items()}
    first_path, first = next(iter(facts.items()))
    for path, each in facts.items():
        if (release_of(each), each.split) != (release_of(first), first.split):
            raise ResultError(
                f"expected results on one release and split: {first_path} is of {first.name}, {first.split}, {path} of "
                f"{each.name}, {each.split}"
            )
    configs = [each.config for each in facts.values()]
    about = next((each for each in ("default", "guides") if each in configs), None)
    if about is None:
        raise ResultError(
            f"expected results on config default, or guides, got {', '.join(dict.fromkeys(configs))} alone"
        )
    return about


def _is_control_of(config: str, about: str) -> bool:
    return config.startswith("control_") and config.endswith(_GUIDES) == (about == "guides")


def _real_columns(
    real: Mapping[Path, RealResult],
    names: Sequence[str],
    alias: Mapping[str, str],
    published: Published,
    left_out: dict[str, str],
) -> dict[str, np.ndarray]:
    columns: dict[str, dict[str, float]] = {}
    digests: dict[str, str] = {}
    for path, each in real.items():
        if digests.setdefault(each.real_set, each.digest) != each.digest:
            raise ResultError(
                f"{path} is of other images of {each.real_set} than the files before it: expected one folder of them"
            )
        name = published_name(each.model, alias, published)
        if name is None or name not in names:
            left_out[str(path)] = f"{each.model.name} has no result on the release, or is not in {published.source}"
            continue
        for column, value in _odds(each).items():
            if name in columns.setdefault(column, {}):
                raise ResultError(f"expected each model once on {each.real_set}, got {name} twice (again in {path})")
            columns[column][name] = value
    return {column: np.array([values.get(name, np.nan) for name in names]) for column, values in columns.items()}


def _odds(result: RealResult) -> dict[str, float]:
    """Return the log odds of each group, and of the second less the first of each two groups that are compared."""
    odds = {group: float(log_odds(np.array(score.top1))) for group, score in result.groups.items()}
    pairs = [pair for pair in REAL_SETS[result.real_set].differences.values() if odds.keys() >= set(pair)]
    name = result.real_set
    columns = {f"{name} {group}" if len(odds) > 1 else name: value for group, value in odds.items()}
    columns |= {f"{name} {b} against {a}": odds[b] - odds[a] for a, b in pairs}
    return {f"{column} (measured)": value for column, value in columns.items()}
