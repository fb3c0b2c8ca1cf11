"""`make bench`: measuring models, ours beside a plain loop on the same images."""

from pathlib import Path

import numpy as np
import pytest

from benchmark.metrics.intervals import Sample, accuracy_intervals
from d3s_dataset.utils.cli import cores
from tests.bench.compare import compare

pytestmark = pytest.mark.bench
ROUNDS = 3


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
