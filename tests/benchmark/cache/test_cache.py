"""A second call answers from the cache without torch, a killed one goes on, and nothing stale is ever believed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from benchmark import run
from benchmark.cache import blocks
from benchmark.cache.blocks import Store
from benchmark.cache.cache import Cache, Options
from benchmark.data import decode
from benchmark.data.split import open_split
from benchmark.inference.evaluate import Subject, answers
from benchmark.inference.predict import predict
from benchmark.models import metadata
from benchmark.schemas import result
from benchmark.schemas.predictions import Answers, read
from tests.conftest import ROOT


def _counted(monkeypatch) -> list[str]:
    """Count the models that are loaded."""
    from benchmark.models import registry

    loaded: list[str] = []
    before = registry.load
    monkeypatch.setattr(registry, "load", lambda name, *others: loaded.append(name) or before(name, *others))
    return loaded


def test_a_second_call_gives_the_same_files_without_torch(toy, small, twice):
    twice("--model", f"local-dir:{small}", "--dataset", str(toy))


@pytest.mark.long
def test_a_second_call_on_17000_images_takes_seconds(make, small, tmp_path, capsys):
    """1,700 photos on each of ten backgrounds of 100 photos; small images, which a second call does not look at."""
    rng, pixels = np.random.default_rng(0), [np.full((32, 32, 3), 25 * i, np.uint8) for i in range(10)]
    images, backgrounds = [make.jpeg(each) for each in pixels], rng.integers(0, 100, 17000)

    def row(i):
        sources = {
            "foreground_source": f"foreground-{i // 10}",
            "background_source": f"background-{i % 10}-{backgrounds[i]}",
        }
        return make.record(i, images[i % 10] + i.to_bytes(2), i // 17 % 1000, i % 10, **sources)

    release = make.write_release(
        tmp_path / "d3s", {"validation": map(row, range(17000))}, shard_rows=4000, group_rows=200
    )
    make.age(release)
    line = [sys.executable, "-m", "benchmark.run", "--model", f"local-dir:{small}", "--dataset", release]
    seconds = []
    for _ in range(2):
        start = time.monotonic()
        environment = os.environ | {"D3S_CACHE": str(tmp_path / "cache")}
        subprocess.run([*line, "--out", tmp_path / "out"], cwd=ROOT, env=environment, check=True, capture_output=True)
        seconds.append(time.monotonic() - start)
    with capsys.disabled():
        print(f"\n17,000 images: first call {seconds[0]:.1f} s, second {seconds[1]:.1f} s")  # noqa: T201
    assert seconds[1] <= 10


@pytest.mark.parametrize("change", ["weights", "folder", "kwargs", "data", "precision", "limit"])
def test_what_an_answer_depends_on_asks_again(toy, small, tmp_path, monkeypatch, change):
    cache, loaded, kwargs, n = Cache(tmp_path / "cache"), _counted(monkeypatch), {}, None
    model = Path(shutil.copytree(small, tmp_path / "model", copy_function=shutil.copy2))
    name, file, options = f"local-dir:{model}", None, Options("fp32")
    if change in ("weights", "kwargs"):
        file = tmp_path / "w.safetensors"
        shutil.copy2(small / "model.safetensors", file)
        name = "test_resnet"
    split = open_split(toy, "default", "validation")
    for _ in range(2):
        before, _ = answers(Subject(name, file, kwargs, cache), split, options, 0.0)
    assert len(loaded) == 1
    match change:
        case "weights" | "folder":
            weights = file or model / "model.safetensors"
            facts, state = weights.stat(), load_file(weights)
            save_file(state | {"fc.bias": state["fc.bias"] + torch.arange(1000) / 100}, weights)
            assert weights.stat().st_size == facts.st_size
        case "kwargs":
            kwargs = {"drop_rate": 0.5}
        case "data":
            split = open_split(toy, "default", "train")
        case "precision":
            options = Options("bf16")
        case "limit":
            n = 40
            split = open_split(toy, "default", "validation", n)
    after, finished = answers(Subject(name, file, kwargs, cache), split, options, 0.0)
    assert len(loaded) == 2
    assert finished.run.precision == options.precision
    if change in ("weights", "folder"):
        assert (before.prediction[:, 0] != after.prediction[:, 0]).any()
    if change == "limit":
        np.testing.assert_array_equal(after.prediction, before.prediction[:n])


def test_a_file_changed_within_its_clock_s_tick_is_read_again(tmp_path):
    cache, path = Cache(tmp_path / "cache"), tmp_path / "file"
    path.write_text("one")
    facts, first = path.stat(), cache.digest_of(path)
    path.write_text("two")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert cache.digest_of(path) != first


@pytest.mark.parametrize("damage", ["cut", "gone", "others"])
def test_a_damaged_part_is_made_again(toy, small, tmp_path, monkeypatch, damage):
    monkeypatch.setattr(blocks, "BLOCK", 32)
    split, subject = open_split(toy, "default", "validation"), Subject(f"local-dir:{small}", cache=Cache(tmp_path))
    before, _ = answers(subject, split, Options("fp32"), 0.0)
    part = sorted(tmp_path.glob("predictions/*/*.npz"))[1]
    match damage:
        case "cut":
            part.write_bytes(part.read_bytes()[:-30])
        case "gone":
            part.unlink()
        case "others":
            part.write_bytes(b"no part")
    after, _ = answers(subject, split, Options("fp32"), 0.0)
    for name, values in vars(after).items():
        np.testing.assert_array_equal(values, getattr(before, name))


KILLED = """
import sys, time
from benchmark.cache import blocks
blocks.BLOCK = 8
write = blocks.Store.write
def slow(self, span, answers):
    write(self, span, answers)
    print("part", flush=True)
    time.sleep({wait})
blocks.Store.write = slow
from benchmark.run import main
main(sys.argv[1:])
"""


@pytest.mark.long
def test_killed_and_run_again_gives_the_same_result(toy, small, tmp_path, monkeypatch):
    line = ["--model", f"local-dir:{small}", "--dataset", str(toy), "--out"]

    def start(name: str, wait: float) -> subprocess.Popen[str]:
        environment = os.environ | {"D3S_CACHE": str(tmp_path / name)}
        call = [sys.executable, "-c", KILLED.format(wait=wait), *line, str(tmp_path / name)]
        return subprocess.Popen(call, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)

    killed = start("killed", 1)
    assert killed.stdout is not None
    for _ in range(3):
        while killed.stdout.readline() != "part\n":
            assert killed.poll() is None
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)  # its decoders end too, or the pipe would stay open
    kept = len(list((tmp_path / "killed").glob("predictions/*/*.npz")))
    assert 3 <= kept < 12
    assert not list((tmp_path / "killed").glob("*.json"))
    # Again, by two processes on one cache.
    both = [start("killed", 0), start("killed", 0)]
    shown = [each.communicate(timeout=200)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0]
    assert min(shown[0].count("part\n"), shown[1].count("part\n")) <= 12 - kept
    assert max(shown[0].count("part\n"), shown[1].count("part\n")) <= 12 - kept
    monkeypatch.setattr(blocks, "BLOCK", 8)
    monkeypatch.setenv("D3S_CACHE", str(tmp_path / "straight"))
    run.main([*line, str(tmp_path / "straight")])
    tables, contents = [], []
    for name in ("killed", "straight"):
        tables.append(read(next((tmp_path / name).glob("*.parquet"))))
        contents.append(json.loads(next((tmp_path / name).glob("*.json")).read_text()) | {"seconds": 0})
    assert contents[0] == contents[1]
    np.testing.assert_array_equal(tables[0].probability, tables[1].probability)
    np.testing.assert_array_equal(tables[0].prediction, tables[1].prediction)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_finished_part_without_its_end_is_taken_over(toy, small, tmp_path, monkeypatch, precision):
    """Killed between the last part and the note that all are there; as one for fewer images finds a longer one's."""
    subject, split = Subject(f"local-dir:{small}", cache=Cache(tmp_path)), open_split(toy, "default", "validation")
    _, before = answers(subject, split, Options(precision), 0.0)
    next(tmp_path.glob("predictions/*/finished-90.json")).unlink()
    monkeypatch.setattr(decode, "blocks", None)
    _, finished = answers(subject, split, Options(precision), 0.0)
    assert finished.run == before.run
    assert finished.run.precision == precision


def test_parts_without_a_note_of_how_they_were_made_are_made_again(toy, small, tmp_path):
    subject, split = Subject(f"local-dir:{small}", cache=Cache(tmp_path)), open_split(toy, "default", "validation")
    before, _ = answers(subject, split, Options("bf16"), 0.0)
    (note,) = tmp_path.glob("predictions/*/run.json")
    note.unlink()
    (part,) = note.parent.glob("*.npz")
    with np.load(part) as content:
        np.savez(part, **{**content, "loss": content["loss"] + 1})
    after, finished = answers(subject, split, Options("bf16"), 0.0)
    np.testing.assert_array_equal(after.loss, before.loss)
    assert finished.run.precision == "bf16"
    assert note.is_file()


def test_a_part_of_unknown_making_is_not_taken_over_later_either(toy, small, tmp_path, monkeypatch):
    """The note is lost; a short run writes it anew; the long one after it must not believe the old parts."""
    monkeypatch.setattr(blocks, "BLOCK", 32)
    subject, split = Subject(f"local-dir:{small}", cache=Cache(tmp_path)), open_split(toy, "default", "validation")
    before, _ = answers(subject, split, Options("fp32"), 0.0)
    (note,) = tmp_path.glob("predictions/*/run.json")
    note.unlink()
    part = note.parent / "00000032-00000064.npz"
    with np.load(part) as content:
        np.savez(part, **{**content, "loss": content["loss"] + 1})
    answers(subject, open_split(toy, "default", "validation", 32), Options("fp32"), 0.0)
    after, _ = answers(subject, split, Options("fp32"), 0.0)
    np.testing.assert_array_equal(after.loss, before.loss)


def test_compilation_is_chosen_by_who_has_work_left(toy, small, tmp_path, monkeypatch):
    """Parts of a short plain run do not keep a long one from compiling; those of --no-compile are its own."""
    monkeypatch.setattr(blocks, "BLOCK", 32)
    subject, split = Subject(f"local-dir:{small}", cache=Cache(tmp_path)), open_split(toy, "default", "validation")
    _, short = answers(subject, open_split(toy, "default", "validation", 32), Options("fp32"), 0.0)
    monkeypatch.setattr("benchmark.inference.predict.pays", lambda seconds, device: True)
    left: list[int] = []
    compiled = lambda self, pixels, n: left.append(n) or self.use_compiled()  # noqa: E731
    monkeypatch.setattr("benchmark.inference.runner.Forward.compile", compiled)
    monkeypatch.setattr(torch, "compile", lambda network: network)
    _, long = answers(subject, split, Options("fp32"), 0.0)
    _, plain = answers(subject, split, Options("fp32", compile=False), 0.0)
    assert [each.run.compiled for each in (short, long, plain)] == [False, True, False]
    assert left == [58]  # of 90 images
    monkeypatch.setattr("benchmark.inference.predict.pays", lambda seconds, device: False)
    for each in tmp_path.glob("predictions/*/00000032-*.npz"):
        each.unlink()
    _, again = answers(subject, split, Options("fp32"), 0.0)
    assert again.run.compiled  # as the other parts were


def test_pretrained_files_of_the_hub_are_compared(small, tmp_path, monkeypatch):
    """The note on a pretrained model holds while the Hub gives the same file."""
    file = tmp_path / "model.safetensors"
    shutil.copy2(small / "model.safetensors", file)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda repo, name, **_: str(tmp_path / name))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda repo, name, **_: str(tmp_path / name))
    shutil.copy2(file, tmp_path / "pytorch_model.bin")
    cache, facts = Cache(tmp_path / "cache"), {"architecture": "a", "tag": "a.b", "digest": "0" * 64, "transform": {}}
    metadata.remember(cache, "a.b", None, {}, config={"hf_hub_id": "timm/a.b"}, **facts)
    found = metadata.recall(cache, "a.b", None, {})
    assert found is not None
    assert found.hub[0] == ("timm/a.b", None, "model.safetensors")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    assert metadata.recall(cache, "a.b", None, {}) is None


def test_predict_keeps_nothing(toy, small, tmp_path, monkeypatch):
    monkeypatch.setenv("D3S_CACHE", str(tmp_path / "cache"))
    subject, split = Subject(f"local-dir:{small}"), open_split(toy, "default", "validation", 20)
    made, _ = predict(subject.classifier, split, "fp32")
    assert not (tmp_path / "cache").exists()
    assert len(made) == 20
    assert isinstance(result.Run.model_validate(answers(subject, split, Options("fp32"), 0.0)[1].run), result.Run)
    assert Store(Answers).run is None
