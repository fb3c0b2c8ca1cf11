"""Plug-in tables: every entry keeps its Protocol, other packages add entries, broken ones are one line."""

import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from benchmark import erasers
from benchmark.erasers import ERASERS
from benchmark.metrics.registry import METRICS
from benchmark.models.registry import MODELS
from benchmark.probing.registry import PROBES
from benchmark.schemas.metrics import Further
from benchmark.schemas.predictions import take
from benchmark.training.objectives import OBJECTIVES
from d3s_dataset.errors import ModelError
from d3s_dataset.utils.plugins import PluginTable
from generation.verify.crowds.base import CROWDS
from tests.benchmark.conftest import some_predictions
from tests.conftest import ROOT

TABLES = {table.group: table for table in (METRICS, MODELS, ERASERS, PROBES, OBJECTIVES, CROWDS)}


@pytest.mark.parametrize("name", list(METRICS))
def test_a_metric_is_of_each_group_and_nan_where_it_is_empty(name):
    metric, predictions = METRICS[name], some_predictions()
    labels = predictions.background % 3
    found = metric.compute(predictions, labels, 5)
    assert found.shape == (5,)
    assert found.dtype == np.float64
    assert np.isnan(found[3:]).all()
    shuffled = np.random.default_rng(0).permutation(len(predictions))
    np.testing.assert_allclose(metric.compute(taken(predictions, shuffled), labels[shuffled], 5), found, atol=1e-12)
    one = metric.compute(predictions, np.zeros_like(labels), 1)
    alone = metric.compute(taken(predictions, labels == 0), np.zeros((labels == 0).sum(), int), 1)
    np.testing.assert_allclose(alone[0], found[0], atol=1e-12)
    assert one.shape == (1,)
    assert metric.heading
    assert name in Further.model_fields or name.isidentifier()


def taken(predictions, rows):
    return take(predictions, np.flatnonzero(rows) if rows.dtype == bool else rows)


@pytest.fixture(scope="module")
def rows():
    """Features of 12 photos on 3 backgrounds: a direction of the background, one of each photo, and noise."""
    rng = np.random.default_rng(0)
    erase, keep = np.repeat(np.arange(3), 60), np.tile(np.arange(12), 15)
    directions = rng.normal(size=(3 + 12, 20))
    values = 2 * directions[erase] + 2 * directions[3 + keep] + rng.normal(size=(180, 20))
    return values.astype(np.float32), erase, keep


@pytest.mark.parametrize("name", list(ERASERS))
def test_an_eraser_is_a_map_of_features_alone_and_its_seed_decides_it(name, rows):
    features, erase, keep = rows
    head = np.random.default_rng(1).normal(size=(5, 20)), np.zeros(5)
    first, again = (erasers.fit(name, features, erase, keep, head=head, seed=3) for _ in range(2))
    out = first(features)
    assert out.shape == features.shape
    assert out.dtype == np.float32
    assert np.isfinite(out).all()
    assert 0 <= first.rank <= features.shape[1]
    assert np.array_equal(out, again(features))
    np.testing.assert_allclose(first(features[:7]), out[:7], atol=1e-4)  # each row by itself
    moved = np.abs(np.linalg.norm(out - features, axis=1)).max()
    assert (moved == 0) == (name == "none")


@pytest.mark.parametrize("kind", list(PROBES))
def test_a_probe_learns_what_is_plain(kind, rows):
    from benchmark.probing import probes

    features, erase, keep = rows
    found = probes.fit(kind, features, erase, keep >= 9, classes=3)
    probability = found(features)
    assert probability.shape == (180, 3)
    np.testing.assert_allclose(probability.sum(1), 1, atol=1e-6)
    assert (probability.argmax(1) == erase).mean() > 0.9
    assert found.report.kind == kind
    assert found.report.ending


@pytest.mark.parametrize("name", [name for name, each in OBJECTIVES.items() if each.make])
def test_an_objective_gives_a_finite_penalty_with_a_gradient(name):
    import torch

    from benchmark.models.training_record import Partition
    from benchmark.training.objectives.penalty import sides

    objective, partition = OBJECTIVES[name], Partition(foreground=12, background=4)
    penalty = objective.make(partition, (5, 3), 0, **objective.options)
    features = torch.randn(max(8, objective.least), 16, generator=torch.Generator().manual_seed(0), requires_grad=True)
    labels = [torch.arange(len(features)) % count for count in (5, 3)]
    both = sides(partition, features, *labels, torch.stack(labels))
    penalty.learn(both)
    added, measured = penalty(both, 1.0, 0.5)
    added.backward()
    assert added.isfinite()
    assert float(features.grad.abs().sum()) > 0
    assert measured.isfinite()
    assert objective.summary


@pytest.mark.parametrize("prefix", list(MODELS))
def test_a_model_source_says_what_it_is_and_refuses_what_is_not_there(prefix):
    source = MODELS[prefix]
    module = import_module(source.module)
    assert callable(module.load)
    assert source.form
    assert source.packages
    if source.place != "repo":
        with pytest.raises(ModelError) as error:
            module.check(f"{prefix}:no/such/place" if prefix else "no_such_model", True)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [name for name, each in CROWDS.items() if each.ballots])
def test_a_crowd_takes_only_files_that_are_its_own(name, tmp_path):
    crowd = CROWDS[name]
    odd = tmp_path / "odd.txt"
    odd.write_text("a,b\n1,2\n")
    assert crowd.comes_back
    assert crowd.recognises is not None
    assert not crowd.recognises(odd)


PACKAGE = """
import numpy as np
from benchmark.metrics.registry import Metric
from generation.verify.crowds.base import Crowd
from benchmark.models.registry import ModelSource

HALF = Metric("half", lambda predictions, labels, count: np.full(count, 0.5), terminal=True)
CROWD = Crowd(export=lambda tasks, votes, images: {"x.txt": b"x"}, pictures=False)
SOURCE = ModelSource("ours:NAME", "added", "name")
NOT_ONE = 3

def zero(rows, seed):
    return lambda features: features * 0, 0
"""
POINTS = """
[d3s.metrics]
half = added:HALF
[d3s.erasers]
zero = added:zero
leace = added:zero
broken = no_such_module:x
odd = added:NOT_ONE
[d3s.crowds]
ours = added:CROWD
[d3s.models]
ours = added:SOURCE
"""


@pytest.fixture(scope="module")
def added(tmp_path_factory) -> Path:
    """A folder for PYTHONPATH with a package that adds entries, as an installed one would."""
    folder = tmp_path_factory.mktemp("added")
    (folder / "added.py").write_text(PACKAGE)
    about = folder / "added-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: added\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(POINTS)
    return folder


def python(added: Path, code: str) -> str:
    line = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(added)!r})\n{code}"]
    ended = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_an_installed_package_adds_entries_and_replaces_none(added):
    code = """
from benchmark.erasers import ERASERS
from benchmark.metrics.registry import METRICS
from benchmark.models.registry import forms, source_of
from generation.verify.crowds.exchange import exporting
from d3s_dataset.errors import PluginError
assert list(METRICS)[-1] == "half" and METRICS["half"].heading == "half"
assert ERASERS["zero"].__module__ == "added" and ERASERS["leace"].__module__ == "benchmark.erasers.linear"
assert "ours" in exporting() and "ours:NAME" in forms() and source_of("ours:x").module == "added"
for name in ("broken", "odd"):
    try:
        ERASERS[name]
    except PluginError as error:
        print(error)
"""
    broken, odd = python(added, code).splitlines()
    assert broken == "the eraser 'broken' (no_such_module:x) cannot be imported: No module named 'no_such_module'"
    assert odd == "the eraser 'odd' (added:NOT_ONE): expected a function, got int"


def test_a_result_holds_an_added_metric_and_the_terminal_shows_it(added):
    code = """
from benchmark.metrics.compute import score
from benchmark.reports.text import table
from d3s_dataset.taxonomy import background_names
from tests.benchmark.conftest import some_predictions
found = score(some_predictions(), background_names())
assert found.further["half"] == 0.5 and found.by_background["grass"].metric("half") == 0.5
print(table(found))
"""
    head, *lines = python(added, code).splitlines()
    assert head.split()[-1] == "half"
    assert next(line for line in lines if line.strip().startswith("grass")).split()[-1] == "50.0"


def test_names_are_known_without_importing_anything():
    assert [list(table) for table in TABLES.values()]
    table = PluginTable("d3s.none", "thing", {"a": "no_such_module:x"})
    assert list(table) == ["a"]
    assert "a" in table
    assert "b" not in table
    with pytest.raises(KeyError):
        table["b"]


def test_the_tests_above_fail_for_a_metric_that_is_0_where_nothing_is(monkeypatch):
    wrong = replace(METRICS["loss"], compute=lambda predictions, labels, count: np.zeros(count))
    monkeypatch.setitem(METRICS._loaded, "loss", wrong)
    with pytest.raises(AssertionError):
        test_a_metric_is_of_each_group_and_nan_where_it_is_empty("loss")


def test_the_tests_above_fail_for_an_eraser_that_looks_at_other_rows(monkeypatch, rows):
    monkeypatch.setitem(ERASERS._loaded, "leace", lambda rows, seed: (lambda x: x - x.mean(0), 20))
    with pytest.raises(AssertionError):
        test_an_eraser_is_a_map_of_features_alone_and_its_seed_decides_it("leace", rows)
