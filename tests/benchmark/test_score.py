"""Scores against brute force, and the command without torch."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.metrics import compute
from benchmark.reports import text as tables
from benchmark.schemas import result
from benchmark.schemas.predictions import BEST, write
from benchmark.score import main as score_main
from d3s_dataset.errors import ResultError
from d3s_dataset.taxonomy import SUPERCLASSES, background_names, classes


@given(seed=st.integers(0, 1000), n=st.integers(1, 60))
@settings(max_examples=15, deadline=None)
def test_metrics_are_those_of_a_loop(make_predictions, seed, n):
    made = make_predictions(n=n, seed=seed)
    metrics = compute.score(made, background_names())
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
    columns = {name: each[order] for name, each in vars(made).items() if isinstance(each, np.ndarray)}
    first, second = (compute.score(each, background_names()) for each in (made, replace(made, **columns)))
    assert first == second


def test_command_writes_the_result(make_predictions, provenance, tmp_path, capsys):
    write(tmp_path / "p.parquet", replace(make_predictions(), provenance=provenance()))
    score_main([str(tmp_path / "p.parquet"), "--out", str(tmp_path / "results")])
    (path,) = (tmp_path / "results").glob("toy--d3s-default-validation--fp32--????????.json")
    shown = capsys.readouterr().out
    assert str(path) in shown
    assert shown.startswith("toy on d3s (sample), config default, split validation: 40 images; drawn sample, not D3S;")
    assert "worst background" in shown
    assert result.read(path).metrics == compute.score(make_predictions(), background_names())


def test_predictions_without_provenance_are_shown_and_not_written(make_predictions, tmp_path, capsys, fails):
    write(tmp_path / "p.parquet", make_predictions())
    score_main([str(tmp_path / "p.parquet")])
    shown = capsys.readouterr().out
    assert "no result written" in shown
    # Label 0 is grass on D3S and Australia on geography: nothing in the file says which.
    assert {"background 0", "background 1"} <= {line[:13].strip() for line in shown.splitlines()}
    assert not {line.split()[0] for line in shown.splitlines()} & set(background_names())
    assert "worst background: background " in shown
    typed = [str(tmp_path / "p.parquet"), "--out", str(tmp_path / "results")]
    assert "--out takes results, and these predictions do not state" in fails(score_main, typed)
    assert not (tmp_path / "results").exists()


def test_several_configs_give_the_chain(make_predictions, provenance, tmp_path, capsys):
    made = make_predictions(n=200, n_foregrounds=30, n_backgrounds=20)
    easy = replace(made, prediction=(made.foreground[:, None] + np.arange(BEST)) % 1000)
    paths = []
    for config, each in (("default", made), ("control_scale", easy)):
        paths.append(str(tmp_path / f"{config}.parquet"))
        write(tmp_path / f"{config}.parquet", replace(each, provenance=provenance(config=config, n=200)))
    score_main([*paths, "--out", str(tmp_path / "results")])
    shown = capsys.readouterr().out
    assert "change of top-1 at each step in points, negative: lower accuracy" in shown
    assert re.search(r"all images +200 +-\d+\.\d \(-\d+\.\d to -\d+\.\d\)", shown)  # a loss, as in the report
    made_names = sorted(path.name.rpartition("--")[0] for path in (tmp_path / "results").iterdir())
    assert made_names == [f"toy--d3s-{config}-validation--fp32" for config in ("chain", "control_scale", "default")]
    (path,) = (tmp_path / "results").glob("toy--d3s-chain-*")
    score_main([*reversed(paths), "--out", str(tmp_path / "reversed")])
    assert path.name in {each.name for each in (tmp_path / "reversed").iterdir()}
    written = path.read_text()
    found = result.Chain.model_validate_json(written).steps["background"]["all images"]
    assert found.change == pytest.approx(compute.score(made, background_names()).top1 - 1)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({}, {"digest": "ef" * 32, "config": "control_scale"}, "expected files of one model"),
        ({}, {"kwargs": {"pad": 1}, "config": "control_scale"}, "expected files of one model"),
        ({}, {"precision": "bf16", "config": "control_scale"}, "expected files of one precision: .* fp32, .* bf16"),
        ({}, {"split": "train", "config": "control_scale"}, "expected files of one split"),
        ({}, {"release": "ef" * 32, "config": "control_scale"}, "expected files of one release"),
        ({}, {}, "expected files of different configs"),
        ({}, {"config": "guides"}, "expected two configs of a step"),
    ],
)
def test_files_that_make_no_chain_are_refused(make_predictions, provenance, tmp_path, first, second, expected):
    for name, facts in (("a", first), ("b", second)):
        write(tmp_path / name, replace(make_predictions(), provenance=provenance(**facts)))
    with pytest.raises(ResultError, match=expected):
        score_main([str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "out")])


def test_new_numbers_are_those_of_the_pure_functions(make_predictions):
    """Superclasses, classes and calibration against loops over a hundred images."""
    made = make_predictions(n=300, n_foregrounds=60)
    metrics = compute.score(made, background_names())
    right = made.prediction[:, 0] == made.foreground
    for superclass, members in SUPERCLASSES.items():
        for label, name in enumerate(background_names()):
            own = np.isin(made.foreground, members) & (made.background == label)
            found = metrics.by_superclass_background[superclass][name]
            assert found.n == own.sum()
            assert found.top1 == (pytest.approx(right[own].mean()) if own.any() else None)
    for label in set(made.foreground.tolist()):
        found = metrics.by_foreground[classes()[label].name]
        for place in range(10):
            own = (made.foreground == label) & (made.background == place)
            assert found.n_by_background[place] == own.sum()
            assert found.top1_by_background[place] == (pytest.approx(right[own].mean()) if own.any() else None)
    cells = [right[(made.foreground == f) & (made.background == b)] for f in range(1000) for b in range(10)]
    means = [each.mean() for each in cells if len(each)]
    assert metrics.averages.training_mix.top1 == pytest.approx(np.mean(means))
    assert metrics.averages.per_image.top1 == metrics.top1
    sums = 1 - 2 * np.exp(-made.loss.astype(float)) + made.squares
    assert metrics.brier == pytest.approx(sums.mean())
    assert compute.score(replace(made, squares=None), background_names()).brier is None
    assert metrics.worst_group is None or metrics.worst_group.top1 <= metrics.top1


def test_a_small_group_is_never_the_worst(make_predictions):
    """29 dogs on grass, all wrong, are shown; the worst group is one with 30 images or more."""
    made = make_predictions(n=100, p=1)
    label = np.where(np.arange(100) < 29, 151, 7)
    best = np.where(label == 151, 0, label)[:, None] + np.arange(BEST)
    made = replace(made, foreground=label, prediction=best.astype(np.int32), background=np.zeros(100, int))
    metrics = compute.score(made, background_names())
    assert metrics.by_superclass_background["dog"]["grass"].top1 == 0
    assert metrics.by_superclass_background["dog"]["grass"].doubts
    assert metrics.worst_group.name == "bird on grass"


def test_table_shows_percent_dashes_and_flags(make_predictions):
    made = make_predictions(n=60, n_foregrounds=30, n_backgrounds=9)
    shown = tables.table(compute.score(made, background_names()))
    row = next(line for line in shown.splitlines() if line.strip().startswith("cave"))
    assert row.split()[:2] == ["cave", "0"]
    assert set(row.split()[2:]) == {"-"}
    grass = next(line for line in shown.splitlines() if line.strip().startswith("grass"))
    assert f"{100 * compute.score(made, background_names()).by_background['grass'].top1:.1f}" in grass


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
        "import benchmark.schemas.predictions, benchmark.schemas.result, benchmark.metrics.compute",
        "import benchmark.score, benchmark.compare",
        "import benchmark.run, benchmark.data.split, benchmark.train",
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
