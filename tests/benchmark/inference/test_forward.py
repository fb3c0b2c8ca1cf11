"""The transform is timm's to the last bit; memory runs out in one line; devices, compilation and memory behave."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from torch._dynamo.utils import counters

from benchmark import run
from benchmark.cache.blocks import Store
from benchmark.cache.cache import Options
from benchmark.data import decode
from benchmark.data.imagenet import Folder
from benchmark.data.split import open_split
from benchmark.inference import predict
from benchmark.inference import rerun as again
from benchmark.inference import runner as forward
from benchmark.inference.devices import choose_devices
from benchmark.inference.evaluate import Subject
from benchmark.inference.runner import Finish, Forward, divide, pays
from benchmark.schemas import result
from benchmark.schemas.predictions import Answers
from d3s_dataset.errors import ModelError, ReleaseError, SourceError
from tests.conftest import ROOT


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_100", "vit_base_patch16_224", "tf_efficientnet_b0"])
def test_the_divided_transform_is_timm_s_to_the_last_bit(name):
    config = timm.data.resolve_data_config({}, pretrained_cfg=timm.get_pretrained_cfg(name).to_dict())
    transform = timm.data.create_transform(**config)
    rng = np.random.default_rng(0)
    images = [Image.fromarray(rng.integers(0, 255, (300, 260 + 40 * i, 3), np.uint8)) for i in range(3)]
    prepare, finish = divide(transform)
    pixels = np.stack([np.asarray(prepare(each)) for each in images])
    assert pixels.dtype == np.uint8
    assert torch.equal(finish(torch.from_numpy(pixels)), torch.stack([transform(each) for each in images]))


def test_another_transform_is_left_whole():
    def own(image: Image.Image) -> torch.Tensor:
        return torch.zeros(3, 2, 2)

    prepare, finish = divide(own)
    assert prepare is own
    assert torch.equal(finish(torch.ones(1, 3, 2, 2)), torch.ones(1, 3, 2, 2))


class _Full(nn.Module):
    """A network for which the memory is full above some batch size."""

    def __init__(self, most: int, error: type[Exception] = torch.OutOfMemoryError) -> None:
        super().__init__()
        self.most, self.error, self.seen = most, error, []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > self.most:
            raise self.error("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        self.seen.append(len(images))
        return images.mean((1, 2, 3))[:, None] + torch.arange(1000.0)


def _forward(network: nn.Module) -> Forward:
    return Forward("toy", network, torch.device("cpu"), Finish(None))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError, MemoryError])
def test_the_batch_is_halved_where_memory_is_full(error):
    network, pixels = _Full(5, error), np.random.default_rng(0).random((37, 3, 4, 4), np.float32)
    runner = _forward(network)
    logits = runner.logits(pixels)
    assert runner.batch_size == 4
    assert network.seen == [4] * 9 + [1]
    assert torch.equal(logits, _forward(_Full(99)).logits(pixels))
    with pytest.raises(ModelError, match=r"toy does not fit into the memory of cpu even one image at a time: .enforce"):
        _forward(_Full(0, error)).logits(pixels)


def test_other_errors_are_not_taken_for_full_memory():
    with pytest.raises(RuntimeError, match="expected"):
        _forward(nn.Conv2d(4, 1, 1)).logits(np.zeros((2, 3, 4, 4), np.float32))
    with pytest.raises(ModelError, match=r"shape \(2, 3, 4, 4\): expected \(2, 1000\)"):
        _forward(nn.Identity()).logits(np.zeros((2, 3, 4, 4), np.float32))


def test_compilation_is_for_long_work_on_whole_batches(monkeypatch, capsys):
    assert not pays(60, torch.device("cpu"))
    assert pays(3600, torch.device("cpu"))
    sizes: list[int] = []

    def compiled(network: nn.Module, **_: object):
        return lambda images: sizes.append(len(images)) or network(images)

    monkeypatch.setattr(torch, "compile", compiled)
    pixels = np.zeros((80, 3, 4, 4), np.float32)
    runner = _forward(_Full(99))
    runner.compile(pixels, 10)
    assert not runner.compiled
    assert not sizes
    runner.use_compiled()
    runner.logits(pixels)
    assert sizes == [32, 32]

    def broken(network: nn.Module, **_: object):
        def call(images: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no C++ compiler")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    runner = _forward(_Full(99))
    runner.compile(pixels, 10**12)
    assert not runner.compiled
    runner.use_compiled()  # as a part made where there was a compiler asks for
    assert torch.equal(runner.logits(pixels), _forward(_Full(99)).logits(pixels))
    assert not runner.compiled
    assert capsys.readouterr().err.count("toy cannot be compiled, so runs as it is: no C++ compiler") == 2


def test_a_network_compiled_once_may_be_asked_again():
    runner = _forward(timm.create_model("test_resnet", num_classes=1000))
    runner.use_compiled()
    made = runner._compiled
    runner.use_compiled()
    assert runner._compiled is made


@pytest.mark.long
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_compiled_network_gives_the_same_answers(precision):
    torch.manual_seed(0)
    runner = _forward(timm.create_model("test_convnext", num_classes=1000))
    runner.precision = precision
    pixels = np.random.default_rng(0).random((runner.batch_size, 3, 96, 96), np.float32)
    plain = runner.logits(pixels)
    runner.use_compiled()
    counters.clear()
    made = runner.logits(pixels)
    assert runner.compiled
    assert counters["inductor"]["mkldnn_conv_weight_pack_matcher_count"] > 0
    counters.clear()
    runner.logits(pixels)
    assert not counters["inductor"]  # compiled once
    scale = plain.std().item()
    torch.testing.assert_close(made, plain, rtol=0, atol=scale * (1e-4 if precision == "fp32" else 0.1))


def test_several_devices_give_the_same_answers(toy, small):
    """Two copies of the network on one CPU, blocks in turn, stand for two GPUs."""
    subject, split = Subject(f"local-dir:{small}"), open_split(toy, "default", "validation")
    stores = Store(Answers), Store(Answers)
    for store, devices in zip(stores, (["cpu"], ["cpu", "cpu"]), strict=True):
        made = predict.answer(subject.classifier, split, Options("fp32", devices=devices), store)
        assert made.devices == devices
    for name, values in vars(stores[0].all(90)).items():
        np.testing.assert_array_equal(values, getattr(stores[1].all(90), name))


def test_a_device_that_is_not_there_is_one_line():
    with pytest.raises(ModelError, match="no device 'cuda:77' here: expected --devices of cpu"):
        choose_devices(["cpu", "cuda:77"])
    assert [str(each) for each in choose_devices(["cpu"])] == ["cpu"]


MEMORY = """
import sys
from benchmark.cache.cache import Options
from benchmark.data.split import open_split
from benchmark.inference.evaluate import Subject, answers
split = open_split(sys.argv[2], "default", "validation", int(sys.argv[3]))
answers(Subject("local-dir:" + sys.argv[1]), split, Options("fp32"), 0.0)
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.long
def test_memory_does_not_grow_with_the_number_of_images(make, small, tmp_path):
    rng = np.random.default_rng(0)
    image = make.jpeg(rng.integers(0, 255, (512, 512, 3), np.uint8))
    # 1.5 GB, a shard 75 MB; what follows a JPEG's end makes it another file, so that each is run.
    rows = [make.record(i, image + i.to_bytes(2), 1, i % 10) for i in range(4000)]
    release = make.write_release(tmp_path / "d3s", {"validation": rows}, shard_rows=200, group_rows=100)

    def peak(n: int) -> int:
        line = [sys.executable, "-c", MEMORY, str(small), str(release), str(n)]
        return int(subprocess.run(line, cwd=ROOT, check=True, capture_output=True, text=True).stdout)

    assert peak(4000) - peak(600) < 60_000  # kB


def test_from_says_whether_it_agrees(toy, small, tmp_path, capsys):
    weights = tmp_path / "w.safetensors"
    shutil.copy(small / "model.safetensors", weights)
    line = ["--model", "test_resnet", "--checkpoint", str(weights), "--dataset", str(toy), "--precision", "fp32"]
    run.main([*line, "--limit", "70", "--out", str(tmp_path)])
    path = next(tmp_path.glob("*.json"))
    assert result.read(path).model.checkpoint == "w.safetensors"
    capsys.readouterr()
    rerun = ["--from", str(path), "--dataset", str(toy), "--checkpoint", str(weights)]
    run.main(rerun)
    assert "run again in fp32 on 70 images: the same prediction on every image" in capsys.readouterr().out
    with pytest.raises(ModelError, match=r"made with the weights in w\.safetensors: pass that file as --checkpoint"):
        run.main(rerun[:4])
    state = load_file(weights)
    save_file(state | {"fc.bias": state["fc.bias"] + 1}, weights)
    with pytest.raises(ModelError, match=r"the weights of test_resnet are others \(digest "):
        run.main(rerun)


def test_from_does_not_answer_from_the_cache(toy, small, tmp_path, monkeypatch):
    run.main(["--model", f"local-dir:{small}", "--dataset", str(toy), "--precision", "fp32", "--out", str(tmp_path)])
    path = next(tmp_path.glob("*.json"))
    before = forward.Forward.logits
    monkeypatch.setattr(forward.Forward, "logits", lambda self, *given: before(self, *given).roll(1, 1))
    said = again.run_again(path, str(toy), None, Options(), f"local-dir:{small}")
    assert said.endswith("on 90 images: 90 predictions differ")


def test_from_on_other_images_is_one_line(toy, small, sample_release, tmp_path):
    run.main(["--model", f"local-dir:{small}", "--dataset", str(toy), "--limit", "20", "--out", str(tmp_path)])
    with pytest.raises(ReleaseError, match="pass --dataset with the folder or repo it was measured on"):
        again.run_again(next(tmp_path.glob("*.json")), str(sample_release), None, Options(), f"local-dir:{small}")


def test_imagenet_gives_the_drop(toy, real_weights, shared_data, tmp_path, capsys):
    line = ["--model", "mobilenetv2_100", "--checkpoint", str(real_weights), "--model-kwargs", "pad_type=same"]
    (tmp_path / "imagenet").mkdir()
    for each in sorted((shared_data / "foregrounds").glob("n*"))[:40]:
        (tmp_path / "imagenet" / each.name).symlink_to(each)
    line += ["--dataset", str(toy), "--limit", "20", "--imagenet", str(tmp_path / "imagenet")]
    run.main([*line, "--precision", "fp32", "--out", str(tmp_path)])
    found = result.read(next(tmp_path.glob("*.json")))
    assert found.imagenet is not None
    assert (found.imagenet.n, found.imagenet.top1, found.imagenet.top5) == (40, 0.9, 1.0)
    assert found.drop == found.imagenet.top1 - found.metrics.top1
    assert "ImageNet (40 photos): top-1 90.0 %; change here -" in capsys.readouterr().out


def test_a_folder_that_is_no_imagenet_is_one_line(tmp_path):
    with pytest.raises(SourceError, match="no folder at"):
        Folder(tmp_path / "none")
    with pytest.raises(SourceError, match="holds no photos"):
        Folder(tmp_path)
    (tmp_path / "cats").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "cats" / "a.png")
    with pytest.raises(SourceError, match="cats is no WordNet id"):
        Folder(tmp_path)
    (tmp_path / "cats").rename(tmp_path / "n01440764")
    folder = Folder(tmp_path)
    assert (folder.n, folder.key.tolist(), folder.foreground.tolist()) == (1, ["n01440764/a.png"], [0])
    os.mkfifo(tmp_path / "n01440764" / "pipe.jpg")
    with pytest.raises(SourceError, match=r"pipe\.jpg is no file: expected a photo; remove it"):
        Folder(tmp_path)
    (tmp_path / "n01440764" / "pipe.jpg").unlink()
    (tmp_path / "n01440764" / "up").symlink_to(tmp_path)
    assert Folder(tmp_path).n == 1
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/n01440764/caf\xe9.jpg")).touch()
    with pytest.raises(SourceError, match="is not UTF-8"):
        Folder(tmp_path)


def test_a_deep_photo_of_imagenet_is_no_white_square(tmp_path):
    (tmp_path / "n01440764").mkdir()
    ramp = np.tile(np.linspace(0, 65535, 256).astype(np.uint16), (8, 1))
    Image.fromarray(ramp).save(tmp_path / "n01440764" / "a.png")
    ((_, block),) = decode.blocks(Folder(tmp_path), np.asarray, [(0, 1)])
    assert np.abs(block[0] - np.arange(256.0)[None, :, None]).max() <= 1
