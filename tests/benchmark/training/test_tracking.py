"""Curves of a training: TensorBoard's files and an offline run of Weights & Biases, read back in their own formats."""

import json
import os
import struct
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from benchmark import train
from benchmark.training import loop
from benchmark.training.checkpoint import FILE
from tests.conftest import ROOT, one_line_error
from tests.support.processes import kill_when

SMALL = ["--model", "test_resnet", "--image-size", "32", "--batch-size", "4", "--epochs", "3"]  # 30 steps per epoch
NAMES = ["train/epoch", "train/learning_rate", "train/loss", "train/top1"]


def tensorboard(out: Path) -> list[tuple[str, int, float]]:
    """Return every scalar of every file as (name, step, value), as written: nothing is merged or purged."""
    found = []
    for path in sorted((out / "tensorboard").iterdir()):
        for event in EventFileLoader(str(path)).Load():
            for each in event.summary.value:
                if each.tag.startswith("train/"):
                    found.append((each.tag, event.step, each.tensor.float_val[0]))
    return found


def wandb_runs(folder: Path) -> list[Path]:
    """Return the files of the offline runs, oldest first."""
    return sorted(folder.glob("wandb/offline-run-*/run-*.wandb"))


def wandb_history(path: Path) -> list[tuple[str, int, float]]:
    """Return what an offline run logged; the file is LevelDB's log of protocol buffers behind a header of 7 bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, parts, found = path.read_bytes(), 7, b"", []
    while at < len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        size, kind = struct.unpack("<HB", content[at + 4 : at + 7])
        parts += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last part of one
            record, parts = Record.FromString(parts), b""
            values = {each.key or each.nested_key[0]: json.loads(each.value_json) for each in record.history.item}
            found += [(name, values["_step"], values[name]) for name in values if name.startswith("train/")]
    return sorted(found)


def settings(folder: Path, **more: str) -> dict[str, str]:
    plain = {key: value for key, value in os.environ.items() if not key.startswith("WANDB")}
    return plain | {"WANDB_DIR": str(folder), "HOME": str(folder), "NETRC": str(folder / "none"), **more}


@pytest.fixture
def often(monkeypatch):
    """A point every seven steps: several per epoch, some of them across a checkpoint."""
    monkeypatch.setattr(loop, "EVERY", 7)


def count_reads(monkeypatch) -> Counter[str]:
    """Count what the loop reads from tensors, which on a GPU waits for all work there."""
    reads = Counter[str]()

    def counted(name, plain):
        def read(tensor, *args, **more):
            reads[name] += sys._getframe(1).f_code.co_filename == loop.__file__
            return plain(tensor, *args, **more)

        return read

    for name in ("item", "tolist", "cpu", "numpy", "__float__", "__int__", "__bool__"):
        monkeypatch.setattr(torch.Tensor, name, counted(name, getattr(torch.Tensor, name)))
    return reads


@pytest.mark.usefixtures("often")
def test_curves_are_the_means_of_the_steps(toy, tmp_path, monkeypatch):
    learned, plain = [], loop.Training._learn

    def learn(self, batch):
        answer = plain(self, batch)
        learned.append({name: float(value) for name, value in answer.items()})
        return answer

    monkeypatch.setattr(loop.Training, "_learn", learn)
    reads = count_reads(monkeypatch)
    train.main([*SMALL, "--dataset", str(toy), "--out", str(tmp_path / "model")])
    scalars = tensorboard(tmp_path / "model")
    steps = sorted({step for _, step, _ in scalars})
    assert steps == [each for each in range(1, 91) if each % 7 == 0 or each % 30 == 0]
    assert +reads == {"tolist": len(steps)}, "a step that reads a value waits for the device"
    assert sorted(set(scalars)) == sorted(scalars)
    for name in ("loss", "top1"):
        values = {step: value for tag, step, value in scalars if tag == f"train/{name}"}
        for before, step in zip([0, *steps], steps, strict=False):
            mean = sum(each[name] for each in learned[before:step]) / (step - before)
            assert values[step] == pytest.approx(mean, rel=1e-5)
    assert {tag for tag, _, _ in scalars} == set(NAMES)


@pytest.mark.usefixtures("often")
@pytest.mark.long
def test_a_training_stopped_between_two_points_has_every_step_once(toy, tmp_path, monkeypatch):
    """Stopped at step 36, a step after a point, with the last checkpoint at step 33: points at 35 and later are new."""
    arguments = [*SMALL, "--dataset", str(toy), "--checkpoint-every", "11"]
    train.main([*arguments, "--out", str(tmp_path / "whole")])
    plain, counted = loop.Training._learn, []

    def stop(self, batch):
        counted.append(1)
        if len(counted) == 37:
            raise KeyboardInterrupt
        return plain(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr(loop.Training, "_learn", stop)
        with pytest.raises(KeyboardInterrupt):
            train.main([*arguments, "--out", str(tmp_path / "part")])
    assert max(step for _, step, _ in tensorboard(tmp_path / "part")) == 35
    train.main([*arguments, "--out", str(tmp_path / "part")])
    assert tensorboard(tmp_path / "part") == tensorboard(tmp_path / "whole")
    assert len(list((tmp_path / "part" / "tensorboard").iterdir())) == 1


@pytest.mark.long
def test_a_killed_training_has_every_step_once_in_both(toy, tmp_path):
    """SIGKILL inside the second epoch, then the same command: TensorBoard's files, and the newest offline run."""
    arguments = [*SMALL, "--dataset", str(toy), "--checkpoint-every", "3", "--wandb"]
    arguments[arguments.index("--batch-size") + 1] = "2"  # 60 steps per epoch: points at 50, 60, 100, 120, 150, 180

    def line(name):
        return [sys.executable, "-m", "benchmark.train", *arguments, "--out", str(tmp_path / name)]

    def run(name):
        own = settings(tmp_path / f"of-{name}", WANDB_MODE="offline")
        return subprocess.Popen(line(name), cwd=ROOT, env=own, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    for name in ("whole", "part"):
        (tmp_path / f"of-{name}").mkdir()
    whole = run("whole")
    killed = run("part")
    file = tmp_path / "part" / FILE
    kill_when(killed, lambda: file.is_file() and _step(file) >= 66, 240)
    assert not (tmp_path / "part" / "model.safetensors").exists()
    again = run("part")
    for process in (whole, again):
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said.decode()
    curves = tensorboard(tmp_path / "whole")
    assert sorted({step for _, step, _ in curves}) == [50, 60, 100, 120, 150, 180]
    assert tensorboard(tmp_path / "part") == curves
    (one,) = wandb_runs(tmp_path / "of-whole")
    first, second = wandb_runs(tmp_path / "of-part")
    assert first.name == second.name  # one run, by its id
    assert wandb_history(one) == wandb_history(second)
    assert [each[:2] for each in wandb_history(one)] == [each[:2] for each in sorted(curves)]


def _step(path: Path) -> int:
    try:
        return torch.load(path, weights_only=True)["state"]["step"]
    except (OSError, RuntimeError, EOFError):  # replaced while it is read
        return 0


@pytest.mark.long
def test_only_the_leading_process_writes(toy, tmp_path):
    line = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "benchmark.train", *SMALL]
    line += ["--epochs", "1", "--dataset", str(toy), "--out", str(tmp_path / "two"), "--wandb"]
    own = settings(tmp_path, WANDB_MODE="offline", OMP_NUM_THREADS="1")
    ended = subprocess.run([sys.executable, *line], cwd=ROOT, env=own, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert [step for tag, step, _ in tensorboard(tmp_path / "two") if tag == "train/loss"] == [30]
    assert len(list((tmp_path / "two" / "tensorboard").iterdir())) == 1
    (path,) = wandb_runs(tmp_path)
    assert [each[0] for each in wandb_history(path)] == NAMES


def test_a_new_training_replaces_the_curves_of_an_earlier_one(toy, tmp_path):
    for epochs in ("2", "1"):
        train.main([*SMALL, "--epochs", epochs, "--dataset", str(toy), "--out", str(tmp_path / "model")])
    assert {step for _, step, _ in tensorboard(tmp_path / "model")} == {30}


def test_the_curves_of_a_loss_that_blew_up_stay(toy, tmp_path, fails):
    arguments = [*SMALL, "--lr", "1e30", "--dataset", str(toy), "--out", str(tmp_path / "model")]
    assert "is not finite in epoch 1" in fails(train.main, arguments)
    assert {step for _, step, _ in tensorboard(tmp_path / "model")} == {30}
    train.main([*SMALL, "--epochs", "1", "--dataset", str(toy), "--out", str(tmp_path / "model")])


def test_without_tensorboard_there_is_no_folder_and_no_import(toy, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)  # as if it were not installed
    arguments = [*SMALL, "--epochs", "1", "--dataset", str(toy), "--out", str(tmp_path / "model")]
    train.main([*arguments, "--no-tensorboard"])
    assert not (tmp_path / "model" / "tensorboard").exists()


def test_a_missing_tracker_is_one_line_before_any_work(tmp_path, fails, monkeypatch):
    arguments = ["--model", "test_resnet", "--dataset", str(tmp_path / "none")]
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert "needs the package 'wandb'" in (shown := fails(train.main, [*arguments, "--wandb"]))
    assert "pip install '.[wandb]'" in shown
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert "pip install '.[benchmark]' (or leave the curves out: --no-tensorboard)" in fails(train.main, arguments)


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        pytest.param({"WANDB_MODE": "online"}, "No API key configured", marks=pytest.mark.long),
        pytest.param({"WANDB_MODE": "sideways"}, "Input should be 'online'", marks=pytest.mark.long),
    ],
)
def test_weights_and_biases_that_refuses_is_one_line(toy, tmp_path, variables, says):
    line = [*SMALL, "--dataset", str(toy), "--out", str(tmp_path / "model"), "--wandb"]
    ended = subprocess.run(
        [sys.executable, "-m", "benchmark.train", *line],
        cwd=ROOT,
        env=settings(tmp_path, **variables),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )
    ended.stderr = "".join(each for each in ended.stderr.splitlines(True) if not each.startswith("wandb:"))
    shown = one_line_error(ended)
    assert says in shown
    assert "type `wandb login`, or set WANDB_MODE=offline" in shown
    assert not (tmp_path / "model").exists()
