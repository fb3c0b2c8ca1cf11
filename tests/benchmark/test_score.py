"""Scores against brute force, and the command without torch."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark import results, score
from benchmark.predictions import write
from d3s_dataset.taxonomy import background_names, classes


@given(seed=st.integers(0, 1000), n=st.integers(1, 60))
@settings(max_examples=15, deadline=None)
def test_metrics_are_those_of_a_loop(make_predictions, seed, n):
    made = make_predictions(n=n, seed=seed)
    metrics = score.score(made, background_names())
    right = [int(best[0] == truth) for best, truth in zip(made.prediction, made.foreground, strict=True)]
    five = [int(truth in best) for best, truth in zip(made.prediction, made.foreground, strict=True)]
    assert metrics.top1 == pytest.approx(sum(right) / n)
    assert metrics.top5 == pytest.approx(sum(five) / n)
    for label, name in enumerate(background_names()):
        own = [value for value, place in zip(right, made.background, strict=True) if place == label]
        assert metrics.by_background[name].n == len(own)
        assert metrics.by_background[name].top1 == (pytest.approx(sum(own) / len(own)) if own else None)
    for label in set(made.foreground.tolist()):
        own = [value for value, kind in zip(right, made.foreground, strict=True) if kind == label]
        assert metrics.by_foreground[classes()[label].name].top1 == pytest.approx(sum(own) / len(own))
    assert sum(each.n for each in metrics.by_foreground.values()) == n
    lowest = min(each.top1 for each in metrics.by_background.values() if each.top1 is not None)
    assert metrics.worst_background is not None
    assert metrics.worst_background.top1 == lowest
    assert metrics.gap == pytest.approx(sum(right) / n - lowest)


def test_the_order_of_rows_does_not_matter(make_predictions):
    made = make_predictions()
    order = np.random.default_rng(1).permutation(len(made))
    columns = {name: getattr(made, name)[order] for name in vars(made) if name != "provenance"}
    first, second = (score.score(each, background_names()) for each in (made, replace(made, **columns)))
    assert first == second


def _provenance() -> dict:
    return {
        "model": {
            **{"name": "toy", "architecture": None, "tag": None, "kwargs": {}, "digest": "ab" * 32},
            **{"precision": "fp32", "transform": {}},
        },
        "dataset": {
            **{"name": "d3s", "kind": "sample", "revision": None, "digest": "cd" * 32, "config": "default"},
            **{"split": "validation", "n": 40, "verified_fraction": None, "backgrounds": list(background_names())},
        },
        "environment": {},
        "seconds": 2.0,
    }


def test_command_writes_the_result(make_predictions, tmp_path, capsys):
    write(tmp_path / "p.parquet", replace(make_predictions(), provenance=_provenance()))
    score.main([str(tmp_path / "p.parquet"), "--out", str(tmp_path / "results")])
    path = tmp_path / "results" / "toy--d3s-default-validation--abababab.json"
    shown = capsys.readouterr().out
    assert str(path) in shown
    assert "worst background" in shown
    assert results.read(path).metrics == score.score(make_predictions(), background_names())


def test_predictions_without_provenance_are_shown_and_not_written(make_predictions, tmp_path, capsys):
    write(tmp_path / "p.parquet", make_predictions())
    score.main([str(tmp_path / "p.parquet"), "--out", str(tmp_path / "results")])
    assert "no result written" in capsys.readouterr().out
    assert not (tmp_path / "results").exists()


def test_table_shows_percent_dashes_and_flags(make_predictions):
    made = make_predictions(n=60, fronts=30, behinds=9)
    shown = score.table(score.score(made, background_names()))
    row = next(line for line in shown.splitlines() if line.strip().startswith("cave"))
    assert row.split() == ["cave", "0", "-", "-", "-", "-", "-"]
    grass = next(line for line in shown.splitlines() if line.strip().startswith("grass"))
    assert f"{100 * score.score(made, background_names()).by_background['grass'].top1:.1f}" in grass


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "error: no predictions at"), (b"nothing", "cannot be read as a Parquet file")],
)
def test_bad_input_is_one_line_and_exit_code_1(tmp_path, content, expected):
    path = tmp_path / "p.parquet"
    if content:
        path.write_bytes(content)
    ended = subprocess.run(
        [sys.executable, "-m", "benchmark.score", str(path)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert expected in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_provenance_of_another_kind_is_one_line(make_predictions, tmp_path):
    write(tmp_path / "p.parquet", replace(make_predictions(), provenance={"model": json.loads("{}")}))
    ended = subprocess.run(
        [sys.executable, "-m", "benchmark.score", str(tmp_path / "p.parquet")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert "provenance that cannot be read: model.name" in ended.stderr


HEAVY = ["torch", "timm", "torchvision", "diffusers", "datasets"]


@pytest.mark.parametrize(
    "code",
    [
        "import benchmark.predictions, benchmark.groups, benchmark.metrics, benchmark.stats, benchmark.results",
        "import benchmark.score",
        "import benchmark.run, benchmark.data, benchmark.train",
        "import benchmark.run\ntry: benchmark.run.main(['--help'])\nexcept SystemExit: pass",
        "import benchmark.run\ntry: benchmark.run.main(['--model', 'x', '--limit', '0'])\nexcept SystemExit: pass",
        "import benchmark.run\ntry: benchmark.run.main(['--model', 'x', '--dataset', '/no'])\nexcept Exception: pass",
        "import benchmark.train\ntry: benchmark.train.main(['--help'])\nexcept SystemExit: pass",
    ],
)
def test_heavy_packages_are_not_imported(code):
    check = f"{code}\nimport sys\nprint('loaded:', *(each for each in {HEAVY} if each in sys.modules))"
    ended = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "loaded:"
