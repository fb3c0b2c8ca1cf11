"""Shapes and kinds of numbers in signatures hold at run time, where jaxtyping and beartype check every call.

The library itself never imports jaxtyping: type checkers read the signatures, and these tests.
"""

import dataclasses
import inspect
import subprocess
import sys
import typing
from dataclasses import replace
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from beartype import beartype

from d3s_dataset.taxonomy import background_names

KINDS = ("Bool", "Float", "Int", "Shaped")
METRICS = [
    f"benchmark.metrics.{name}"
    for name in (
        "groups", "accuracy", "statistics", "bootstrap", "intervals", "calibration", "factors", "worst_group",
        "compute", "paired", "seeds",
    )
]  # fmt: skip
PROBING = [
    f"benchmark.probing.{name}"
    for name in (
        "folds", "targets", "leakage", "readable", "codelength", "family", "permutation", "retention", "probes.base",
        "probes.fitting", "probes.linear", "probes.logistic", "probes.lda", "probes.kernel", "probes.mlp",
    )
]  # fmt: skip
OBJECTIVES = [
    f"benchmark.training.objectives.{name}"
    for name in ("penalty", "adversarial", "hsic", "wasserstein", "pair", "mutual_information")
]


def _has_shapes(annotations: dict[str, Any]) -> bool:
    return any(f"{kind}[" in str(each) for each in annotations.values() for kind in KINDS)


class Check:
    """Replaces functions by ones that check their arrays; counts them, so that none is passed over silently."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, names: list[str]) -> None:
        self.patch, self.modules = monkeypatch, [import_module(name) for name in names]
        self.functions: dict[str, Any] = {}
        self.called: set[str] = set()
        for module in self.modules:
            for kind in KINDS:
                monkeypatch.setattr(module, kind, getattr(jaxtyping, kind), raising=False)
        for module in self.modules:
            for name, value in list(vars(module).items()):
                if getattr(value, "__module__", "") != module.__name__:
                    continue
                if isinstance(value, FunctionType) and _has_shapes(value.__annotations__):
                    self._replace(value, self._checked(value, f"{module.__name__}.{name}"))
                elif inspect.isclass(value):
                    self._methods(value, f"{module.__name__}.{name}")

    def _checked(self, function: FunctionType, name: str) -> Any:
        checked = jaxtyping.jaxtyped(function, typechecker=beartype)
        self.functions[name] = checked

        def call(*given: Any, **named: Any) -> Any:
            self.called.add(name)
            return checked(*given, **named)

        return call

    def _replace(self, function: FunctionType, checked: Any) -> None:
        """Put the checked function in every module of the project that has the plain one."""
        for name, module in list(sys.modules.items()):
            if name.startswith("benchmark.") and isinstance(module, ModuleType):
                for attribute, value in list(vars(module).items()):
                    if value is function:
                        self.patch.setattr(module, attribute, checked)

    def _methods(self, kind: type, name: str) -> None:
        for attribute, value in list(vars(kind).items()):
            if isinstance(value, FunctionType) and attribute != "__init__" and _has_shapes(value.__annotations__):
                self.patch.setattr(kind, attribute, self._checked(value, f"{name}.{attribute}"))
        if dataclasses.is_dataclass(kind) and _has_shapes(kind.__annotations__):
            self._fields(kind, name)

    def _fields(self, kind: type, name: str) -> None:
        """Check the arrays of a dataclass, which share their sizes, when one is made."""
        hints = {key: each for key, each in typing.get_type_hints(kind).items() if key in kind.__annotations__}
        arrays = {key: each for key, each in hints.items() if isinstance(each, type) and _has_shapes({key: each})}
        assert arrays, name
        plain: Any = kind.__init__

        def init(self: Any, *given: Any, **named: Any) -> None:
            plain(self, *given, **named)
            with jaxtyping.jaxtyped("context"):
                for key, hint in arrays.items():
                    value = getattr(self, key)
                    assert isinstance(value, hint), f"{name}.{key}: {hint} expected, got {value.dtype} {value.shape}"

        self.patch.setattr(kind, "__init__", init)

    def never_called(self) -> set[str]:
        return self.functions.keys() - self.called


def test_metrics_hold_their_shapes(monkeypatch, make_predictions):
    check = Check(monkeypatch, METRICS)
    accuracy, calibration, compute, paired, seeds, statistics = (
        import_module(f"benchmark.metrics.{name}")
        for name in ("accuracy", "calibration", "compute", "paired", "seeds", "statistics")
    )
    made = make_predictions(n=200, n_foregrounds=20, n_backgrounds=30)
    compute.score(made, background_names())
    levels, size = np.tile(np.array([0.5, 1], np.float32), 100), np.repeat(np.array([0.25, 1], np.float32), 100)
    ladder = np.array([f"l{i // 2}" for i in range(200)], dtype=object)
    place = np.where(size < 1, 0, np.nan).astype(np.float32)
    compute.score(replace(made, size=size, place=place, ladder=ladder, severity=levels), background_names())
    after = replace(made, prediction=np.roll(made.prediction, 1, axis=1))
    paired.changes(made, after, background_names())
    right = accuracy.hits(made.foreground, made.prediction)
    paired.overall(right, accuracy.hits(after.foreground, after.prediction), made)
    sample = compute.sample_of(made, import_module("benchmark.metrics.groups").by_background(made, background_names()))
    runs = np.random.default_rng(0).random((3, len(made))) < 0.7
    seeds.accuracies(runs, sample)
    seeds.difference(runs.astype(np.float64) - right, sample, 0)
    seeds.worst(runs, sample, list(background_names()), least=5)
    calibration.calibration_curve(made.probability[:, 0], right)
    statistics.photos(sample.foreground_source)
    assert not check.never_called()


def test_probes_and_folds_hold_their_shapes(monkeypatch):
    check = Check(monkeypatch, PROBING)
    folds, targets, leakage, readable, retention, fitting, features = (
        import_module(f"benchmark.{name}")
        for name in (
            "probing.folds", "probing.targets", "probing.leakage", "probing.readable", "probing.retention",
            "probing.probes.fitting", "inference.features",
        )
    )  # fmt: skip
    rng, n = np.random.default_rng(0), 96
    foreground, background = np.repeat(np.arange(2), n // 2), np.tile(np.arange(2), n // 2)
    fields = {
        "values": rng.normal(size=(n, 5)) + foreground[:, None],
        "foreground": foreground,
        "background": background,
        "foreground_source": np.arange(n) // 4,
        "background_source": 2 * rng.integers(0, 6, n) + background,
    }
    lacking = {each.name: None for each in dataclasses.fields(features.Features) if each.name not in fields}
    made = features.Features(**fields, **lacking)
    monkeypatch.setattr(import_module("benchmark.probing.probes.mlp"), "GRID", ((16, 1e-2),))
    asked = leakage.Asked(("linear", "lda", "knn", "kernel", "mlp"), null=2)
    for name in ("foreground", "background"):
        for wanted, rows in targets.targets(made, name, "unseen_foreground", []):
            leakage.measure(made, "all", made.values, wanted, rows, "unseen_foreground", asked)
            readable.read_family(made, "all", made.values, wanted, rows, "unseen_foreground", asked)
    photos = leakage.photos_of(made, wanted, rows)
    folds.apart(photos, folds.three_sets(photos, 0), 0)
    folds.left_out(photos, 0)
    targets.narrowed(wanted, rows)
    retention.kept(made, "all", made.values, np.arange(n))
    with pytest.raises(jaxtyping.TypeCheckError):
        fitting.fit("linear", made.values, foreground[:-1], rows, classes=2)
    assert not check.never_called()


def test_objectives_hold_their_shapes(monkeypatch):
    check = Check(monkeypatch, OBJECTIVES)
    from benchmark.models.training_record import Partition
    from benchmark.training.objectives import OBJECTIVES as objectives
    from benchmark.training.objectives import penalty

    partition, draw = Partition(foreground=3, background=5), torch.Generator().manual_seed(0)
    features = torch.randn(8, partition.size, generator=draw).requires_grad_()
    photos = torch.stack([torch.arange(8) // 2, torch.arange(8) % 4])
    both = penalty.sides(partition, features, torch.arange(8) % 4, torch.arange(8) % 2, photos)
    for objective in objectives.values():
        if objective.make is not None:
            critic = {"critic_steps": 1, "critic_rate": 1e-3} if objective.critic_steps else {}
            made = objective.make(partition, (4, 2), 0, **critic)
            made.learn(both)
            made(both, 1.0, 0.5)
    assert check.never_called() <= {
        f"{OBJECTIVES[0]}.{name}" for name in ("Penalty.forward", "Critics.loss", "Critics.measured")
    } | {f"{OBJECTIVES[-1]}._Scores.bounds"}  # abstract


def test_a_wrong_shape_or_kind_is_an_error(monkeypatch):
    Check(monkeypatch, METRICS)
    accuracy, groups = import_module("benchmark.metrics.accuracy"), import_module("benchmark.metrics.groups")
    with pytest.raises(jaxtyping.TypeCheckError):
        accuracy.hits(np.zeros(3, int), np.zeros((4, 5), int))
    with pytest.raises(jaxtyping.TypeCheckError):
        accuracy.group_means(np.zeros(3), np.zeros(3), 2)
    with pytest.raises(AssertionError, match="labels"):
        groups.Groups(np.zeros((2, 2), int), ("one",))


def test_no_metric_imports_jaxtyping():
    code = "import sys, benchmark.metrics.seeds, benchmark.metrics.paired; print('jaxtyping' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
