"""Training saves a folder that benchmark.run takes as it is, and the same seed gives the same weights."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark import run, train
from benchmark.models.registry import load
from benchmark.schemas import result as results
from benchmark.training import augment

ALWAYS = ["model.safetensors", "training.json"]
SMALL = ["--model", "test_resnet", "--image-size", "32", "--batch-size", "16", "--lr", "0.01"]


@pytest.fixture(scope="module")
def trained(toy, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "model"
    before = torch.random.get_rng_state()
    train.main([*SMALL, "--dataset", str(toy), "--epochs", "8", "--out", str(out)])
    assert torch.equal(torch.random.get_rng_state(), before)
    return out


def test_run_takes_what_train_saves(toy, trained, tmp_path, capsys):
    run.main(["--model", f"local-dir:{trained}", "--dataset", str(toy), "--precision", "fp32", "--out", str(tmp_path)])
    result = results.read(next(tmp_path.glob("*.json")))
    assert result.metrics.top1 is not None
    assert result.metrics.top1 >= 0.95  # red or blue
    assert result.model.tag is None
    assert result.model.architecture == "test_resnet"
    assert list(result.model.transform["input_size"]) == [3, 32, 32]
    assert (result.model.transform["interpolation"], result.model.transform["crop_pct"]) == ("bilinear", 1.0)
    assert "drawn sample, not D3S" in capsys.readouterr().out


def test_the_weights_are_those_of_the_file(trained):
    found = load(f"local-dir:{trained}")
    again = load("test_resnet", trained / "model.safetensors")
    assert found.digest == again.digest
    record = json.loads((trained / "training.json").read_text())
    assert (record["objective"], record["dataset"]["kind"], record["seed"]) == ("erm", "sample", 0)
    assert sorted(each.name for each in trained.iterdir()) == sorted(
        ["config.json", "log.jsonl", *ALWAYS, "tensorboard"]
    )


def test_the_seed_decides_the_weights(toy, tmp_path, capsys):
    digests = []
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4")):
        train.main([*SMALL, "--dataset", str(toy), "--epochs", "1", "--seed", seed, "--out", str(tmp_path / name)])
        digests.append(load(f"local-dir:{tmp_path / name}").digest)
    assert digests[0] == digests[1] != digests[2]
    shown = capsys.readouterr().out
    assert "train test_resnet from random weights" in shown
    assert shown.count("epoch 1/1: loss ") == 3


def test_training_goes_on_from_a_checkpoint(toy, trained, tmp_path, capsys):
    start = trained / "model.safetensors"
    arguments = [*SMALL[:-1], "1e-9", "--dataset", str(toy), "--epochs", "1", "--checkpoint", str(start)]
    train.main([*arguments, "--out", str(tmp_path / "more")])
    assert f"from {start}" in capsys.readouterr().out
    before, after = load_file(start), load_file(tmp_path / "more" / "model.safetensors")
    np.testing.assert_allclose(after["fc.weight"], before["fc.weight"], atol=1e-6)


def test_large_sets_lie_in_a_file(toy, trained, tmp_path, monkeypatch):
    """The same weights whether the decoded images are in memory or in a temporary file, which goes away."""
    monkeypatch.setattr(augment, "_IN_MEMORY", 0)
    train.main([*SMALL, "--dataset", str(toy), "--epochs", "8", "--out", str(tmp_path / "model")])
    assert load(f"local-dir:{tmp_path / 'model'}").digest == load(f"local-dir:{trained}").digest
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


def test_an_earlier_training_is_replaced_and_nothing_else(toy, trained, tmp_path, fails):
    out = tmp_path / "model"
    for seed in ("1", "2"):
        train.main([*SMALL, "--dataset", str(toy), "--epochs", "1", "--seed", seed, "--out", str(out)])
    assert json.loads((out / "training.json").read_text())["seed"] == 2
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "thesis.tex").write_text("")
    shown = fails(train.main, [*SMALL, "--dataset", str(toy), "--out", str(tmp_path / "precious")])
    assert "no earlier training" in shown


@pytest.mark.parametrize("epochs", ["1", "5"])  # the rate rises for a fifth of the steps: for none, for one
def test_a_single_step_an_epoch_is_enough(toy, tmp_path, epochs):
    one = [*SMALL, "--dataset", str(toy), "--batch-size", "500", "--epochs", epochs, "--out"]
    train.main([*one, str(tmp_path / "model")])
    train.main([*one, str(tmp_path / "idle"), "--lr", "1e-12"])
    moved, idle = (load_file(tmp_path / name / "model.safetensors")["fc.weight"] for name in ("model", "idle"))
    assert (moved - idle).abs().max() > 1e-3  # a step has a rate


def test_bad_input(toy, tmp_path, fails):
    on = ["--dataset", str(toy), "--out", str(tmp_path / "model")]
    assert "did you mean resnet18" in fails(train.main, ["--model", "resnet81", *on])
    assert "expected a timm name to train" in fails(train.main, ["--model", "local-dir:x", *on])
    assert "invalid choice: 'magic'" in fails(train.main, ["--model", "a", "--objective", "magic", *on])
    assert "expected a number above 0" in fails(train.main, ["--model", "a", "--lr", "-1", *on])
    assert "no data set found" in fails(train.main, ["--model", "resnet18", "--dataset", str(tmp_path / "none")])
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    wrong = ["--model", "test_resnet", "--checkpoint", str(tmp_path / "a.safetensors"), *on]
    assert "another architecture than test_resnet" in fails(train.main, wrong)
    wrong[3] = str(tmp_path / "none.safetensors")
    assert f"no checkpoint at {wrong[3]}" in fails(train.main, wrong)
    assert "is not finite in epoch 1: lower --lr" in fails(train.main, [*SMALL[:-1], "1e30", *on, "--no-tensorboard"])
    below_a_file = [*SMALL, "--dataset", str(toy), "--out", str(tmp_path / "a.safetensors" / "model")]
    assert "cannot make the folder" in fails(train.main, below_a_file)
    assert not (tmp_path / "model").exists()
