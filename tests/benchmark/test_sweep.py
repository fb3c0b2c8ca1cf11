"""The lambda sweep: a penalty takes the background out of a neck's foreground part; files; bad input."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from benchmark import sweep, train
from benchmark.probing import tradeoff
from benchmark.schemas.experiments import Point, Sweep
from benchmark.schemas.metrics import Spread
from benchmark.training import adapter
from d3s_dataset.errors import ModelError, ReleaseError


def _rows(count: int, seed: int) -> adapter.Labelled:
    """Ten features of which five tell one label and five another, with noise."""
    rng = np.random.default_rng(seed)
    foreground, background = rng.integers(0, 5, (2, count))
    shown = np.concatenate([np.eye(5)[foreground], np.eye(5)[background]], 1)
    features = (shown + rng.normal(0, 0.3, shown.shape)).astype(np.float32)
    return adapter.Labelled(features, foreground, background, np.stack([foreground, background]))


def test_a_neck_keeps_its_label_and_loses_the_other(monkeypatch):
    monkeypatch.setattr(adapter, "STEPS", 200)
    rows, test = _rows(1000, 0), _rows(500, 1)
    found = {weight: adapter.train(rows, "hsic", weight, 0, 8) for weight in (0.0, 30.0)}
    assert all((each.told(test.features) == test.foreground).mean() > 0.9 for each in found.values())
    read = {weight: _read(each.part(rows.features, "foreground"), rows.background) for weight, each in found.items()}
    assert read[30.0] < read[0.0] - 0.1


def test_a_seed_decides_a_neck(monkeypatch):
    monkeypatch.setattr(adapter, "STEPS", 5)
    rows = _rows(200, 0)
    one, same, other = (
        adapter.train(rows, "hsic", 30.0, seed, 8).part(rows.features, "foreground") for seed in (0, 0, 1)
    )
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)


def test_a_neck_takes_the_paired_objective_and_needs_pairs(monkeypatch):
    """20 photos on 16 backgrounds, each photo a direction of its own, as each background photo."""
    monkeypatch.setattr(adapter, "STEPS", 150)
    rng = np.random.default_rng(0)
    sources = np.stack(np.meshgrid(np.arange(20), np.arange(16), indexing="ij")).reshape(2, -1)
    directions = rng.normal(size=(36, 12))
    shown = directions[sources[0]] + directions[20 + sources[1]] + rng.normal(0, 0.1, (320, 12))
    rows = adapter.Labelled(shown.astype(np.float32), sources[0] % 5, sources[1] % 4, sources)
    spread = {}
    for weight in (0.0, 30.0):
        values = adapter.train(rows, "pair", weight, 0, 8).part(rows.features, "foreground")
        scaled = ((values - values.mean(0)) / values.std(0)).reshape(20, 16, -1)
        spread[weight] = scaled.var(1).mean()
    assert spread[30.0] < 0.5 * spread[0.0]
    alone = replace(rows, sources=np.stack([np.arange(320), sources[1]]))
    with pytest.raises(
        ReleaseError, match="no foreground photo of the training images stands on two background photos"
    ):
        adapter.train(alone, "pair", 1.0, 0)


@pytest.mark.parametrize(
    ("width", "says"),
    [(1, "a neck of 1 features cannot be cut in two parts"), (64, "10 features are too few for a neck of 64")],
)
def test_a_width_that_no_neck_can_have_is_one_line(width, says):
    with pytest.raises(ModelError, match=says):
        adapter.train(_rows(100, 0), "hsic", 1.0, 0, width)


def _read(features: np.ndarray, labels: np.ndarray) -> float:
    design = np.c_[(features - features.mean(0)) / features.std(0), np.ones(len(features))]
    half = len(labels) // 2
    weights = np.linalg.lstsq(design[:half], np.eye(5)[labels[:half]], rcond=None)[0]
    return float(((design[half:] @ weights).argmax(1) == labels[half:]).mean())


def test_the_command_writes_table_and_plot(sample_release, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(adapter, "STEPS", 30)
    model = ["--model", "test_resnet", "--image-size", "32", "--epochs", "1", "--seed", "1"]
    train.main([*model, "--dataset", str(sample_release), "--out", str(tmp_path / "model")])
    on = [
        "--dataset",
        str(sample_release),
        "--lambdas",
        "0",
        "10",
        "--repeats",
        "2",
        "--width",
        "24",
        "--null",
        "3",
        "--out",
        str(tmp_path / "sweep"),
    ]
    file = ["--checkpoint", str(tmp_path / "model" / "model.safetensors"), "--model-kwargs", "drop_rate=0.1"]
    sweep.main(["--model", f"local-dir:{tmp_path / 'model'}", *file, "--objective", "mine", "--probe", "lda", *on])
    found = Sweep.model_validate_json((tmp_path / "sweep" / "sweep.json").read_bytes())
    assert (found.objective, found.width, [each.weight for each in found.points]) == ("mine", 24, [0, 10])
    assert (found.model.checkpoint, found.model.kwargs) == ("model.safetensors", {"drop_rate": 0.1})
    assert any(each.pareto for each in found.points)
    assert (found.seeds, found.chance) == ([0, 1], pytest.approx(0.1, abs=0.05))
    with (tmp_path / "sweep" / "sweep.csv").open() as stream:
        lines = list(csv.DictReader(stream))
    assert [float(line["lambda"]) for line in lines] == [0, 10]
    assert [float(line["leakage"]) for line in lines] == [each.leakage.mean for each in found.points]
    assert [float(line["null"]) for line in lines] == [each.null.mean for each in found.points]
    assert [float(line["difference"]) for line in lines] == [each.null.difference for each in found.points]
    assert all(
        each.null.repeats == 3 and 0 < float(line["p"]) <= 1 for line, each in zip(lines, found.points, strict=True)
    )
    with Image.open(tmp_path / "sweep" / "sweep.png") as drawn:
        assert drawn.width > 300
    assert "foreground accuracy" in capsys.readouterr().out
    assert json.loads((tmp_path / "model" / "training.json").read_text())["objective"] == "erm"


def test_bad_input(fails):
    for lambdas, says in (
        (["-1", "2"], "expected a lambda of 0 or more, got '-1'"),
        (["0,1"], "expected a lambda of 0 or more, got '0,1'"),
        (["1"], "--lambdas: expected two or more different values such as 0 0.1 1"),
        (["1", "1.0"], "expected two or more different values"),
    ):
        assert says in fails(sweep.main, ["--model", "a", "--lambdas", *lambdas])


def test_lambdas_are_ranked_by_what_is_read_above_the_null():
    """A reading below its null is none: 4 % against a null of 8 is not better than 10 against a null of 12."""

    def point(weight: float, accuracy: float, leakage: float, null: float | None) -> Point:
        spread = [Spread(mean=each, ci95=(each - 0.02, each + 0.02)) for each in (accuracy, leakage)]
        against = None if null is None else tradeoff._against(spread[1], [np.full(20, null), np.full(20, null)])
        return Point(weight=weight, accuracy=spread[0], leakage=spread[1], null=against, pareto=False)

    points = [point(0, 0.9, 0.5, 0.1), point(1, 0.8, 0.10, 0.12), point(10, 0.7, 0.04, 0.08)]
    assert [tradeoff._best(each, points) for each in points] == [True, True, True]
    assert tradeoff._leaks(points[2]) == tradeoff._leaks(points[1]) == 0
    higher = [points[0], point(1, 0.95, 0.45, 0.1), points[2]]
    assert [tradeoff._best(each, higher) for each in higher] == [False, True, True]
    plain = [point(1, 0.8, 0.10, None), point(10, 0.75, 0.14, None), point(20, 0.7, 0.04, None)]
    assert [tradeoff._best(each, plain) for each in plain] == [True, False, True]
