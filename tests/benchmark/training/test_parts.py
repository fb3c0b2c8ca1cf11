"""Training with a split of the features: what is saved, going on after a kill, several processes, bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file

from benchmark import run, train
from benchmark.models import training_record
from benchmark.models.registry import load
from benchmark.models.training_record import Partition
from benchmark.training.checkpoint import FILE, LOG
from benchmark.training.network import HEAD, damped
from benchmark.training.objectives.registry import OBJECTIVES
from d3s_dataset.taxonomy import classes
from tests.conftest import ROOT
from tests.support.processes import kill_when

TINY = ["--model", "test_convnext", "--image-size", "32", "--batch-size", "16", "--critic-steps", "2"]
WASSERSTEIN = [*TINY, "--objective", "wasserstein"]


def _digest(folder: Path) -> str:
    return load(f"local-dir:{folder}").digest


def _log(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


@pytest.fixture(scope="module")
def trained(toy, tmp_path_factory):
    out = tmp_path_factory.mktemp("parts") / "model"
    train.main([*WASSERSTEIN, "--dataset", str(toy), "--epochs", "3", "--out", str(out)])
    return out


def test_the_folder_is_a_model_of_timm_with_its_split_beside(toy, trained, tmp_path):
    split = training_record.read(trained)
    assert split is not None
    assert (split.foreground, split.background) == (56, 8)  # the paper's share of 64
    network = timm.create_model(f"local-dir:{trained}", pretrained=True)
    weight = network.get_classifier().weight
    assert not weight[:, split.columns("background")].any()
    assert weight[:, split.columns("foreground")].any()
    assert {key: tuple(value.shape) for key, value in load_file(trained / HEAD).items()} == {
        "weight": (10, 8),
        "bias": (10,),
    }
    record = json.loads((trained / "training.json").read_text())
    assert (record["objective"], record["weight"], record["aligned_only"]) == ("wasserstein", 1.0, None)
    assert not (trained / FILE).exists()
    assert [line["epoch"] for line in _log(trained)] == [1, 2, 3]
    assert {"loss", "top1", "background_top1", "penalty"} <= set(_log(trained)[-1])
    run.main(["--model", f"local-dir:{trained}", "--dataset", str(toy), "--precision", "fp32", "--out", str(tmp_path)])


def test_a_killed_training_goes_on_to_the_same_end(toy, trained, tmp_path):
    """SIGKILL right after a checkpoint inside the second epoch; the same command then ends with the same bytes."""
    out = tmp_path / "model"
    arguments = [*WASSERSTEIN, "--dataset", str(toy), "--epochs", "3", "--checkpoint-every", "3", "--out", str(out)]
    running = subprocess.Popen([sys.executable, "-m", "benchmark.train", *arguments], cwd=ROOT)
    kill_when(running, lambda: (out / LOG).exists() and bool(_log(out)), 120)  # from the end of the first epoch on
    assert (out / FILE).is_file()
    assert not (out / "model.safetensors").exists()
    train.main(arguments)
    assert _digest(out) == _digest(trained)
    assert _log(out) == _log(trained)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["model"]


@pytest.mark.parametrize(
    "objective",
    [
        "pair",
        *(
            pytest.param(each, marks=pytest.mark.long)
            for each in ("wasserstein", "adversarial", "hsic", "mine", "club")
        ),
    ],
)
def test_a_training_stopped_inside_an_epoch_goes_on_to_the_same_end(toy, tmp_path, objective, monkeypatch):
    """Every piece of the state counts: order, views, dropout, critics, optimisers."""
    arguments = [*TINY[:-2], "--objective", objective, "--dataset", str(toy), "--epochs", "2"]
    train.main([*arguments, "--out", str(tmp_path / "whole")])
    from benchmark.training import checkpoint

    wrote, times = checkpoint.write, []

    def write(*args):
        wrote(*args)
        times.append(1)
        if len(times) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "write", write)
    with pytest.raises(KeyboardInterrupt):
        train.main([*arguments, "--checkpoint-every", "3", "--out", str(tmp_path / "part")])
    train.main([*arguments, "--out", str(tmp_path / "part")])
    assert _digest(tmp_path / "part") == _digest(tmp_path / "whole")
    assert _log(tmp_path / "part") == _log(tmp_path / "whole")


def test_another_training_does_not_go_on_with_a_checkpoint(toy, tmp_path, fails, monkeypatch):
    from benchmark.training import checkpoint

    wrote = checkpoint.write
    monkeypatch.setattr(checkpoint, "write", lambda *args: (wrote(*args), _stop()))
    on = ["--dataset", str(toy), "--epochs", "2", "--out", str(tmp_path / "model")]
    with pytest.raises(KeyboardInterrupt):
        train.main([*WASSERSTEIN, *on])
    shown = fails(train.main, [*WASSERSTEIN, *on, "--lambda", "2"])
    assert "unfinished training of other settings (weight 1.0, not 2.0)" in shown
    (tmp_path / "model" / FILE).write_bytes(b"cut short")
    assert "cannot be read, delete it to start again" in fails(train.main, [*WASSERSTEIN, *on])


def _stop() -> None:
    raise KeyboardInterrupt


@pytest.mark.long
@pytest.mark.parametrize(
    ("objective", "precision"),
    [
        *((name, "fp32") for name, each in OBJECTIVES.items() if each.critic_steps or each.per_photo),
        ("wasserstein", "bf16"),
    ],
)
def test_two_processes_train_the_same_network_as_one(toy, tmp_path, objective, precision):
    """On two CPU processes over gloo. Sums in another order move fp32 weights in their sixth digit.

    In bf16 each process rounds its half's gradients to eight bits, and the first steps of AdamW take the sign of what
    is left of those near zero: the training is the same, the weights are not (0.01 after six steps).
    """
    flags = TINY if OBJECTIVES[objective].critic_steps else TINY[:-2]
    arguments = [*flags, "--objective", objective, "--dataset", str(toy), "--epochs", "1", "--batch-size", "20"]
    arguments += ["--precision", precision]
    train.main([*arguments, "--out", str(tmp_path / "one")])
    line = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "benchmark.train"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, *line, *arguments, "--out", str(tmp_path / "two")],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("epoch 1/1") == 1
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    if precision == "fp32":
        for key, value in one.items():
            torch.testing.assert_close(two[key], value, atol=2e-4, rtol=0)
    else:
        train.main([*arguments, "--lr", "1e-12", "--out", str(tmp_path / "start")])
        start = load_file(tmp_path / "start" / "model.safetensors")
        moved, apart = (
            torch.cat([(first[key] - second[key]).flatten() for key in one]).norm()
            for first, second in ((one, start), (two, one))
        )
        # Measured 0.31; 1.14 where the second process takes the gradient of the first one's images.
        assert apart < 0.5 * moved
    (first,), (second,) = (_log(tmp_path / name) for name in ("one", "two"))
    assert second == pytest.approx(first, abs=1e-3 if precision == "fp32" else 0.05)


@pytest.mark.parametrize(
    ("units", "chosen"),
    [
        ({"amx_bf16": True}, "bf16"),
        pytest.param({"avx512_bf16": True}, "fp32", marks=pytest.mark.long),
        pytest.param({}, "fp32", marks=pytest.mark.long),
    ],
)
def test_the_precision_that_was_chosen_is_recorded(toy, tmp_path, monkeypatch, units, chosen):
    """A CPU with and without matrix units for bf16; what `auto` chose trains the same when it is typed."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units, raising=False)
    one_epoch = [*WASSERSTEIN, "--dataset", str(toy), "--epochs", "1"]
    for name, precision in (("auto", "auto"), ("typed", chosen)):
        train.main([*one_epoch, "--precision", precision, "--out", str(tmp_path / name)])
        assert json.loads((tmp_path / name / "training.json").read_text())["precision"] == chosen
    assert _digest(tmp_path / "auto") == _digest(tmp_path / "typed")
    other = {"bf16": "fp32", "fp32": "bf16"}[chosen]
    train.main([*one_epoch, "--precision", other, "--out", str(tmp_path / "other")])
    assert _digest(tmp_path / "other") != _digest(tmp_path / "auto")


def test_photos_of_imagenet_are_half_of_each_batch(toy, tmp_path, make):
    """Classes that only the folder shows are learned; its photos need no background label."""
    for label in (3, 900):
        folder = tmp_path / "train" / classes()[label].wnid
        folder.mkdir(parents=True)
        for index in range(6):
            shade = np.full((40, 56, 3), 20 if label == 3 else 235, dtype=np.uint8)
            Image.fromarray(shade).save(folder / f"{index}.jpg")
    out = tmp_path / "model"
    joint = [*WASSERSTEIN, "--dataset", str(toy), "--imagenet", str(tmp_path / "train"), "--epochs", "2"]
    train.main([*joint, "--out", str(out)])
    bias = load_file(out / "model.safetensors")["head.fc.bias"]
    assert min(bias[3], bias[900]) > bias[[2, 4, 899]].max()
    assert json.loads((out / "training.json").read_text())["imagenet"] == 12
    train.main([*joint, "--out", str(tmp_path / "again")])
    assert _digest(tmp_path / "again") == _digest(out)


def test_conflicting_cells_are_not_seen(toy, tmp_path, fails):
    """Class 1 on forest only, class 7 on night only: 6 images each are left of the toy's 120."""
    pairs = {"first": {"classes": [1], "background": "forest"}, "second": {"classes": [7], "background": "night"}}
    (tmp_path / "pairs.json").write_text(json.dumps(pairs))
    aligned = [*WASSERSTEIN, "--dataset", str(toy), "--epochs", "1", "--aligned-only"]
    train.main([*aligned, str(tmp_path / "pairs.json"), "--out", str(tmp_path / "model")])
    assert json.loads((tmp_path / "model" / "training.json").read_text())["aligned_only"] == pairs
    one = {"first": {"classes": [1], "background": "forest"}, "second": {"classes": [7], "background": "forest"}}
    (tmp_path / "one.json").write_text(json.dumps(one))
    assert "one background label only" in fails(train.main, [*aligned, str(tmp_path / "one.json")])
    assert "expected paper, sample, a seed or a JSON file" in fails(train.main, [*aligned, "none.json"])
    (tmp_path / "bad.json").write_text('{"a": {"classes": [1], "background": "moon"}, "dog": "grass"}')
    assert "needs the background 'moon'" in fails(train.main, [*aligned, str(tmp_path / "bad.json")])


def test_bad_input(toy, trained, tmp_path, fails):
    on = ["--dataset", str(toy), "--out", str(tmp_path / "model")]
    assert "expected a lambda of 0 or more, got '-1'" in fails(train.main, [*WASSERSTEIN, *on, "--lambda", "-1"])
    assert (
        "--lambda goes with --objective wasserstein or adversarial or hsic or mine or club or pair: leave it out"
        in fails(train.main, ["--model", "a", "--lambda", "1"])
    )
    assert "--critic-lr goes with --objective wasserstein or mine or club: leave it out" in fails(
        train.main, ["--model", "a", "--objective", "hsic", "--critic-lr", "1"]
    )
    assert "--batch-size of 4 or more" in fails(
        train.main, ["--model", "a", "--objective", "hsic", "--batch-size", "2"]
    )
    other = [*WASSERSTEIN, *on, "--checkpoint", str(trained / "model.safetensors"), "--foreground-features", "30"]
    assert "56 of 64 features for the foreground, this asks for 30 of 64: type --foreground-features 56" in fails(
        train.main, other
    )
    club = ["--model", "test_convnext", "--objective", "club", *on]
    assert "expected a lambda of 0 or more, got 'nan'" in fails(train.main, [*club, "--lambda", "nan"])
    assert "64 pooled features" in fails(train.main, [*WASSERSTEIN, *on, "--foreground-features", "64"])
    levit = ["--model", "levit_128s", "--objective", "hsic", "--image-size", "224", *on]
    assert "no linear classifier on its pooled features" in fails(train.main, levit)
    assert not (tmp_path / "model").exists()


def test_the_background_parts_gradient_is_damped_and_its_features_are_not():
    encoded = torch.randn(3, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    found = damped(encoded, Partition(foreground=3, background=2), 0.25)
    assert torch.equal(found, encoded)
    found.square().sum().backward()
    assert encoded.grad is not None
    assert torch.allclose(encoded.grad, 2 * encoded.detach() * torch.tensor([1, 1, 1, 0.25, 0.25]))
    assert damped(encoded, None, 0.25) is encoded


def test_frozen_stages_and_statistics_stay_and_the_rest_moves(toy, trained, tmp_path):
    """A network with batch norm: what is frozen keeps its bytes, statistics included."""
    frozen = [
        "--model",
        "test_resnet",
        "--image-size",
        "32",
        "--batch-size",
        "16",
        "--dataset",
        str(toy),
        "--epochs",
        "1",
    ]
    train.main([*frozen, "--out", str(tmp_path / "first")])
    start = load_file(tmp_path / "first" / "model.safetensors")
    more = [*frozen, "--checkpoint", str(tmp_path / "first" / "model.safetensors"), "--out", str(tmp_path / "more")]
    train.main([*more, "--freeze", "2", "--objective", "pair"])
    moved = {
        key for key, value in load_file(tmp_path / "more" / "model.safetensors").items() if (value != start[key]).any()
    }
    assert {key.partition(".")[0] for key in moved} == {"layer2", "layer3", "layer4", "fc"}
    assert any(key.endswith("running_mean") for key in moved)
    train.main([*more, "--freeze-statistics"])
    end = load_file(tmp_path / "more" / "model.safetensors")
    assert all(torch.equal(end[key], value) for key, value in start.items() if "running" in key)
    assert not torch.equal(end["conv1.0.weight"], start["conv1.0.weight"])


def test_a_training_starts_from_a_packages_weights(toy, tmp_path, fails):
    """At a rate of nothing and with frozen statistics, what is saved gives the package's own logits."""
    lite = ["--model", "tf_efficientnet_lite0", "--image-size", "32", "--dataset", str(toy), "--epochs", "1"]
    start = [*lite, "--checkpoint", "packaged:tf_efficientnet_lite0"]
    train.main([*start, "--freeze-statistics", "--batch-size", "60", "--lr", "1e-12", "--out", str(tmp_path / "model")])
    views = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    own, package = (load(name).network(views) for name in (f"local-dir:{tmp_path / 'model'}", start[-1]))
    torch.testing.assert_close(own, package, atol=1e-4, rtol=0)
    record = json.loads((tmp_path / "model" / "training.json").read_text())["start"]
    assert record["sha256"].startswith("579344248a93e230")
    other = [*TINY[:-2], "--dataset", str(toy), "--checkpoint", start[-1]]
    shown = fails(train.main, other)
    assert "packaged:tf_efficientnet_lite0 holds the weights of tf_efficientnet_lite0: expected --model tf_eff" in shown
    assert "unknown model 'packaged:lite7'" in fails(train.main, [*lite, "--checkpoint", "packaged:lite7"])
    assert "has 5 stages with its stem: expected --freeze below that, got 5" in fails(
        train.main, ["--model", "test_resnet", "--freeze", "5", "--dataset", str(toy), "--out", str(tmp_path / "a")]
    )


def test_arguments_of_the_model_are_saved_with_it(toy, tmp_path):
    """Padding as in TensorFlow: without it the same weights give other logits at a stride on an even side."""
    arguments = ["--model", "mobilenetv2_100", "--image-size", "32", "--batch-size", "60", "--dataset", str(toy)]
    train.main([*arguments, "--epochs", "1", "--model-kwargs", "pad_type=same", "--out", str(tmp_path / "model")])
    views = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    saved = load(f"local-dir:{tmp_path / 'model'}").network.eval()
    made = [timm.create_model("mobilenetv2_100", **each).eval() for each in ({"pad_type": "same"}, {})]
    for each in made:
        each.load_state_dict(load_file(tmp_path / "model" / "model.safetensors"))
    with torch.inference_mode():
        torch.testing.assert_close(saved(views), made[0](views))
        assert not torch.allclose(saved(views), made[1](views), atol=1e-3)
    assert json.loads((tmp_path / "model" / "training.json").read_text())["kwargs"] == {"pad_type": "same"}


def test_a_training_starts_from_a_model_of_the_same_split(toy, trained, tmp_path):
    start = ["--checkpoint", str(trained / "model.safetensors"), "--lr", "1e-9", "--epochs", "1"]
    train.main([*WASSERSTEIN, "--dataset", str(toy), *start, "--out", str(tmp_path / "more")])
    before, after = load_file(trained / HEAD), load_file(tmp_path / "more" / HEAD)
    torch.testing.assert_close(after["weight"], before["weight"], atol=1e-6, rtol=0)
