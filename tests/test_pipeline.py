"""The whole path once, on real input: recipe -> release -> load -> benchmark -> report."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import load_dataset

from tests.conftest import ROOT
from tests.support.processes import torch_threads
from tests.test_flags import parsed


def real_model(shared_data: Path) -> list[object]:
    weights = shared_data / "weights" / "mobilenetv2_100.safetensors"
    return ["--model", "mobilenetv2_100", "--model-kwargs", "pad_type=same", "--checkpoint", weights]


def plain_top1(release: Path, weights: Path) -> float:
    """The independent loop: datasets, timm and torch as their documentations have them, none of our code."""
    import timm
    import torch

    model = timm.create_model("mobilenetv2_100", pad_type="same", checkpoint_path=str(weights)).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    right = 0
    data = load_dataset(str(release), split="validation")
    # One thread: two of a process among others wait for each other longer than a single image takes.
    with torch_threads(1), torch.inference_mode():
        for row in data:
            right += int(model(transform(row["image"].convert("RGB"))[None]).argmax()) == row["foreground"]
    return right / len(data)


def result_of(out: Path) -> dict:
    (path,) = out.glob("*.json")
    return json.loads(path.read_text())


def check_real(release: Path, shared_data: Path, out: Path, command) -> dict:
    """Run the real weights in fp32; assert that an independent loop agrees; return the result."""
    options = ["--dataset", release, "--precision", "fp32", "--out", out]
    run = command("benchmark.run", *real_model(shared_data), *options)
    assert run.returncode == 0, run.stderr
    assert "labels not human-verified" in run.stdout.splitlines()[0]
    result = result_of(out)
    weights = shared_data / "weights" / "mobilenetv2_100.safetensors"
    assert result["metrics"]["top1"] == pytest.approx(plain_top1(release, weights), abs=1e-9)
    return result


def test_real_photos_to_a_table_by_background(guides_release, shared_data, tmp_path, command):
    result = check_real(guides_release, shared_data, tmp_path, command)
    assert result["dataset"]["kind"] == "guides"
    assert {name: each["n"] for name, each in result["metrics"]["by_background"].items()} == dict.fromkeys(
        ["grass", "road", "forest", "water", "sand", "indoors", "snow", "rain", "night", "cave"], 10
    )


@pytest.mark.long
def test_two_thousand_guides_agree_with_an_independent_loop(shared_data, tmp_path, command):
    photos = ["--foregrounds", shared_data / "foregrounds", "--backgrounds", shared_data / "backgrounds"]
    given = ["--recipe", "paper", "--model", "none", "--rows", 2000, *photos, "--out", tmp_path / "d3s"]
    made = command("generation.run", *given)
    assert made.returncode == 0, made.stderr
    result = check_real(tmp_path / "d3s", shared_data, tmp_path / "results", command)
    assert result["dataset"]["n"] == 2000
    assert 0.15 < result["metrics"]["top1"] < 0.35  # pasted at 0.4 of the side: about a quarter


def recipe(target: str, folder: Path) -> list[str]:
    """The lines of a target of the Makefile for a shell, without what they print at the end; its folder moved."""
    text = (ROOT / "Makefile").read_text().split(f"\n{target}: ")[1].split("\n\n")[0].replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines()[1:] if not line.strip().startswith("@")]
    assert lines
    python = shlex.quote(sys.executable)
    moved = [line.replace("../$(BIN)/python", python).replace("$(BIN)/python", python) for line in lines]
    return [re.sub(r"\bdemo(?=/| &&)", str(folder), line) for line in moved]


def make(lines: list[str], **env: str) -> None:
    for line in lines:
        subprocess.run(["bash", "-c", line], cwd=ROOT, check=True, env=os.environ | env, timeout=1200)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `make demo` makes."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    folder.mkdir()
    make(recipe("demo", folder), HF_HUB_OFFLINE="1")  # nothing is downloaded
    return folder


@pytest.mark.long
def test_the_demo_measures_a_real_network_and_writes_a_report(demo):
    result = result_of(demo / "results")
    assert result["dataset"]["kind"] == "sample"
    assert result["dataset"]["n"] == 600
    assert result["model"]["name"] == "packaged:tf_efficientnet_lite0"
    assert result["metrics"]["top1"] == pytest.approx(0.848, abs=0.01)
    assert "packaged:tf_efficientnet_lite0" in (demo / "report.html").read_text()


def test_what_the_demo_prints_to_type_next_is_understood():
    printed = re.findall(r'@echo "  python -m ([\w.]+) (.*)"', (ROOT / "Makefile").read_text())
    assert [module for module, _ in printed] == ["benchmark.run", "benchmark.compare", "benchmark.run"]
    for module, rest in printed:
        parsed(module, shlex.split(rest.replace("*.json", "A.json demo/results/B.json")))


@pytest.mark.long
def test_a_small_network_learns_the_sample_and_a_real_one_knows_it(demo, shared_data, tmp_path, command):
    lines = {each: recipe(each, demo) for each in ("parts", "readings", "sweep", "pairs")}
    assert "--recipe sample " in lines["parts"][0]
    assert "--recipe sample-pairs " in lines["pairs"][0]
    assert [len(each) for each in lines.values()] == [2, 2, 1, 6]
    small = ["--model", "resnet10t", "--objective", "erm", "--image-size", 64, "--epochs", 8]
    trained = command("benchmark.train", *small, "--dataset", demo / "d3s", "--out", tmp_path / "model")
    assert trained.returncode == 0, trained.stderr
    measured = ["--model", f"local-dir:{tmp_path / 'model'}", "--dataset", demo / "d3s", "--out", tmp_path / "small"]
    assert command("benchmark.run", *measured).returncode == 0
    assert result_of(tmp_path / "small")["metrics"]["top1"] >= 0.9
    options = ["--dataset", demo / "d3s", "--precision", "fp32", "--out", tmp_path / "real"]
    assert command("benchmark.run", *real_model(shared_data), *options).returncode == 0
    known = result_of(tmp_path / "real")["metrics"]
    assert known["top1"] >= 0.45
    assert known["top5"] >= 0.70
