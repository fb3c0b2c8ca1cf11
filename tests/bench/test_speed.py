"""`make bench`: measuring models, ours beside a plain loop on the same images."""

from pathlib import Path

import pytest

from d3s_dataset.command import cores
from tests.bench.compare import compare

pytestmark = pytest.mark.bench
ROUNDS = 3


def test_a_real_model_over_guides(guides_release, shared_data):
    """100 guides through MobileNetV2 in fp32, and as `auto` runs it, beside timm's data set and loader."""
    import timm
    import torch

    from benchmark.data import open_split
    from benchmark.models import load
    from benchmark.predict import predict

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
