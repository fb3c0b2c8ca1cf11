"""`make bench-gpu`: without a GPU one line; its functions, at a small size on a CPU."""

import re
import time

import pytest

from generation.recipe.recipe import load_recipe
from tests.bench import gpu
from tests.conftest import ROOT


def test_without_a_gpu_it_is_one_line(command):
    assert "python -m tests.bench.gpu --price" in (ROOT / "Makefile").read_text()
    result = command("tests.bench.gpu", CUDA_VISIBLE_DEVICES="")
    assert (result.returncode, result.stdout.count("\n")) == (0, 1), result.stderr
    assert "torch finds no CUDA device here: nothing was measured" in result.stdout


def test_spans_are_counted_once():
    from tests.bench.gpu_generation import covered

    assert covered([(0, 2), (1, 3), (5, 6), (5.2, 5.5)]) == pytest.approx(4 / 6)
    assert covered([]) is None


def test_projected_times_follow_the_steps():
    from tests.bench.gpu_generation import Figures

    found = Figures({"ours": 1.0}, batch=2, unet=0.2, encode=0.1, decode=0.3, cpu=0.001)
    paper, fast, kept = (load_recipe(name) for name in gpu.RECIPES)
    assert gpu.seconds_per_image(paper, found, 1.5) == pytest.approx(1.5 * (0.1 + 45 * 0.2 + 0.3) / 2)
    assert gpu.seconds_per_image(fast, found, 1.0) == pytest.approx((0.1 + 18 * 0.2 + 0.3) / 2)
    assert gpu.seconds_per_image(kept, found, 1.0) == pytest.approx((0.2 + 50 * 0.2 + 0.3) / 2)
    # 20,000 validation images with two redrawn controls each.
    assert gpu.redrawn_images(paper, 120_000) == pytest.approx(160_000)
    lines = "\n".join(gpu.projection(found, 45, 3.0))
    hours = 160_000 * (1.0 / found.floor(45)) * found.alone(45) / 3600
    assert f"| paper | {hours:,.1f} GPU-hours, {3 * hours:,.0f} |" in lines


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_everything_is_measured_small_on_a_cpu(tmp_path):
    """The same functions on small networks; compilation, which needs a minute on a CPU, comes after the deadline."""
    from tests.bench.gpu_generation import SMALL

    lines = list(gpu.report(SMALL, "cpu", 2.99, tmp_path, time.monotonic()))
    text = "\n".join(lines)
    for name in (
        "diffusers, one call per row",
        "diffusers, one call per batch",
        "ours",
        "UNet and VAE alone, not compiled",
    ):
        assert re.search(rf"\| {name} \| [\d.]+ \|.* [\d.]+% \|", text), text
    assert "ours, compiled: left out for want of time" in lines
    assert re.search(r"Ours, not compiled, runs at [\d.]+ of its floor's speed", text), text
    assert re.search(r"\| paper \| [\d.,]+ GPU-hours, [\d,]+ \| [\d.,]+ GPU-hours, [\d,]+ \|", text), text
    assert re.search(r"Evaluation, test_resnet, fp32: loader [\d,]+ img/s, model [\d,]+ img/s, loop [\d,]+ img/s", text)
    assert re.search(r"Training, test_resnet, fp32: [\d,]+ img/s", text)
