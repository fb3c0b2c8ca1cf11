"""Which precision `auto` takes, on real logits; TF32 is set for a run and no longer, and refused where it is not."""

from threading import Barrier, Thread

import numpy as np
import pytest
import torch
from torch import nn

from benchmark import run
from benchmark.cache.blocks import Store
from benchmark.cache.cache import Cache, Options
from benchmark.data.split import open_split
from benchmark.inference import predict
from benchmark.inference.evaluate import Subject, answers
from benchmark.inference.predict import Trial, choose
from benchmark.inference.runner import Finish, Forward, autocast
from benchmark.models.registry import load
from benchmark.schemas.predictions import Answers
from d3s_dataset.errors import ModelError

CPU = torch.device("cpu")


def _tf32(values: torch.Tensor) -> torch.Tensor:
    """Keep ten bits of mantissa, as a GPU's TF32 units do with what they multiply."""
    return (values.contiguous().view(torch.int32) + 0x1000 & -0x2000).view(torch.float32)


@pytest.fixture(scope="module")
def logits():
    """A real network's logits of 512 random images: in fp32, in bf16, and with factors rounded as in TF32."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        images = torch.randn(512, 192)
        first, second = nn.Linear(192, 256), nn.Linear(256, 1000)
    made = {}
    with torch.inference_mode():
        for precision in ("fp32", "bf16", "tf32"):
            kept = _tf32 if precision == "tf32" else torch.clone
            with autocast(CPU, precision):
                hidden = torch.relu(nn.functional.linear(kept(images), kept(first.weight), first.bias))
                made[precision] = nn.functional.linear(kept(hidden.float()), kept(second.weight), second.bias).float()
    return lambda precision, images: made[precision][:images]


def _share(logits, precision: str, images: int) -> float:
    same = logits(precision, images).argmax(1) == logits("fp32", images).argmax(1)
    return same.double().mean().item()


def test_the_first_precision_that_agrees_often_enough_is_taken(logits):
    bf16, tf32 = _share(logits, "bf16", 256), _share(logits, "tf32", 512)
    assert bf16 < 0.99 < 0.995 <= tf32  # of this network
    tries = [Trial("bf16", 0.99, 256), Trial("tf32", 0.995, 512)]
    assert choose(tries, logits) == ("tf32", tf32)
    assert choose([Trial("bf16", bf16, 256), tries[1]], logits) == ("bf16", bf16)
    assert choose(tries[:1], logits) == ("fp32", bf16)
    assert choose([tries[0], Trial("tf32", 1.01, 512)], logits) == ("fp32", bf16)
    assert choose([], logits) == ("fp32", None)


def test_only_tries_asked_for_are_run(logits):
    asked = []
    choose([Trial("bf16", 0.5, 256), Trial("tf32", 0.995, 512)], lambda *each: asked.append(each) or logits(*each))
    assert asked == [("bf16", 256), ("fp32", 256)]


def test_auto_tries_tf32_on_the_first_512_images(make, small, monkeypatch, tmp_path):
    """A CPU runs it as fp32, so all agree: what is tried, run and recorded is a GPU's."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (520, 8, 8, 3), np.uint8)
    rows = [make.record(i, make.jpeg(each), 1, i % 10) for i, each in enumerate(images)]
    split = open_split(make.write_release(tmp_path / "d3s", {"validation": rows}), "default", "validation")
    monkeypatch.setattr(predict, "has_tf32", lambda device: True)
    monkeypatch.setattr(predict, "fast_bf16", lambda device: False)
    seen, before = [], Forward.logits
    monkeypatch.setattr(
        Forward, "logits", lambda self, *each: seen.append((self.precision, len(each[0]))) or before(self, *each)
    )
    classifier, store = load(f"local-dir:{small}"), Store(Answers)
    used = predict.answer(classifier, split, Options("auto"), store)
    assert (used.precision, used.agreement) == ("tf32", 1.0)
    assert seen == [("tf32", 256)] * 2 + [("fp32", 256)] * 2 + [("tf32", 256), ("tf32", 8)]
    assert "tf32 and fp32 give the same top-1 on 100.0 % of the first images, enough" in run.describe_run(used)
    assert predict.trials(CPU, 256, longer=True) == [Trial("tf32", 0.995, 512)]
    assert predict.trials(CPU, 256, longer=False) == []


def test_tf32_without_units_is_one_line_also_where_a_gpu_began(toy, small, tmp_path, fails):
    line = ["--model", f"local-dir:{small}", "--dataset", str(toy), "--out", str(tmp_path)]
    assert "precision tf32 is of NVIDIA GPUs" in fails(run.main, [*line, "--precision", "tf32", "--devices", "cpu"])
    split, subject = open_split(toy, "default", "validation"), Subject(f"local-dir:{small}", cache=Cache(tmp_path))
    _, finished = answers(subject, split, Options("fp32", devices=["cpu"]), 0.0)
    store = Store(Answers)
    store.begin(finished.run.model_copy(update={"precision": "tf32"}))
    with pytest.raises(ModelError, match="got cpu"):
        predict.answer(subject.classifier, split, Options(devices=["cpu"]), store)


class _Reads(nn.Module):
    """Notes whether float32 may be multiplied in TF32, once all its threads are there."""

    def __init__(self, barrier: Barrier) -> None:
        super().__init__()
        self.seen, self.barrier = [], barrier

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.barrier.wait(20)
        self.seen.append((torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32))
        return torch.zeros(len(images), 1000)


@pytest.mark.parametrize("precision", ["fp32", "tf32"])
def test_threads_share_the_setting_and_leave_it_as_it_was(precision):
    """One thread's end does not change what another, still at work, multiplies in."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    network, pixels = _Reads(Barrier(1)), np.zeros((64, 3, 4, 4), np.float32)
    runners = [Forward("toy", network, CPU, Finish(None)) for _ in range(2)]
    for each, batches in zip(runners, (1, 2), strict=True):
        each.precision, each.batch_size = precision, 64 // batches
    network.barrier = Barrier(2)
    short = Thread(target=runners[0].logits, args=(pixels,))
    long = Thread(target=runners[1].logits, args=(pixels,))
    short.start()
    long.start()
    short.join(20)
    network.barrier.wait(20)  # the second batch of the longer one, after the other's end
    long.join(20)
    assert network.seen == [(precision == "tf32",) * 2] * 3
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before
