"""`make bench`: measuring models, ours beside a plain loop on the same images."""

import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark.metrics.intervals import Sample, accuracy_intervals
from d3s_dataset.utils.cli import cores
from tests.bench.compare import compare

pytestmark = pytest.mark.bench
ROUNDS = 3
BATCHES = """
import sys, time, timm, torch
from d3s_dataset.utils.processes import keep_freed_memory
if sys.argv[2] == "kept":
    keep_freed_memory()
network = timm.create_model(sys.argv[1]).eval().to(memory_format=torch.channels_last)
images = torch.zeros(32, 3, 224, 224).contiguous(memory_format=torch.channels_last)
with torch.inference_mode():
    network(images)
    start = time.perf_counter()
    for _ in range(8):
        network(images)
print(time.perf_counter() - start)
"""


def test_a_real_model_over_guides(guides_release, shared_data):
    """100 guides through MobileNetV2 in fp32, and as `auto` runs it, beside timm's data set and loader."""
    import timm
    import torch

    from benchmark.data.split import open_split
    from benchmark.inference.predict import predict
    from benchmark.models.registry import load

    weights = shared_data / "weights" / "mobilenetv2_100.safetensors"
    split = open_split(guides_release, "default", "validation")
    classifier = load("mobilenetv2_100", Path(weights), {"pad_type": "same"})

    def timms() -> None:
        model = timm.create_model("mobilenetv2_100", pad_type="same", checkpoint_path=str(weights)).eval()
        keys = {"input_key": "image", "target_key": "foreground"}
        data = timm.data.create_dataset(f"hfds/{guides_release}", "", split="validation", **keys)
        config = timm.data.resolve_model_data_config(model)
        loader = timm.data.create_loader(
            data, config["input_size"], 32, use_prefetcher=False, num_workers=cores(), device=torch.device("cpu"),
            mean=config["mean"], std=config["std"], interpolation=config["interpolation"], crop_pct=config["crop_pct"],
        )  # fmt: skip
        with torch.inference_mode():
            for images, _ in loader:
                model(images)

    compare(
        "100 guides, mobilenetv2_100",
        ROUNDS,
        **{
            "timm's data set, loader and an fp32 loop": timms,
            "ours, fp32": lambda: predict(classifier, split, "fp32"),
            "ours, auto": lambda: predict(classifier, split, "auto"),
        },
    )


@pytest.mark.parametrize("name", ["mobilenetv2_100", "resnet50"])
def test_freed_memory(name, ratio):
    """Eight batches of 32 in fp32, uncompiled, where freed memory goes back to the system, as by default, or stays."""
    seconds: dict[str, list[float]] = {"returned": [], "kept": []}
    for _ in range(ROUNDS):
        for how, each in seconds.items():
            call = [sys.executable, "-c", BATCHES, name, how]
            each.append(float(subprocess.run(call, capture_output=True, text=True, check=True).stdout))
    returned, kept = (statistics.median(each) for each in seconds.values())
    print(f"\n{name}, 256 images in fp32: freed memory returned {returned:.2f} s, kept {kept:.2f} s")
    ratio(f"{name} in fp32, freed memory kept rather than returned", returned / kept)


def test_the_bootstrap_of_a_whole_release():
    """1,000 samples of 17,000 images, ten backgrounds and all images; and the same means alone by a plain loop."""
    rng, photo, background = np.random.default_rng(0), np.repeat(np.arange(1700), 10), np.tile(np.arange(10), 1700)
    template = background * 100 + rng.integers(0, 100, 17000)
    right = rng.normal(size=1700)[photo] + rng.normal(size=1000)[template] + rng.normal(size=17000) > 0
    sample = Sample(photo, template, background, background, 10, np.ones((1, 10)))

    def plain() -> None:
        rng, photos = np.random.default_rng(0), (sample.foreground_source, sample.background_source)
        for _ in range(1000):
            counts = [rng.multinomial(each.max() + 1, np.full(each.max() + 1, 1 / (each.max() + 1))) for each in photos]
            weight = counts[0][photos[0]] * counts[1][photos[1]]
            for background in range(10):
                own = sample.background == background
                np.average(right[own], weights=weight[own])

    compare(
        "1,000 samples of 17,000 images",
        ROUNDS,
        **{
            "a plain loop, one-number percentiles": plain,
            "ours: accuracy_intervals, studentised": lambda: accuracy_intervals(right, sample),
        },
    )
