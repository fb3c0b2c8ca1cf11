"""`make bench`: images decoded into shared memory (`data.decode`), beside torch's DataLoader and timm's loader.

The same JPEGs, the same transform to bytes, the same number of processes, batches of 32; alone, and with a real network
in fp32 behind each.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from torch.utils.data import DataLoader, Dataset

from benchmark.cache.blocks import spans
from benchmark.data.decode import blocks
from benchmark.data.split import Split, open_split
from benchmark.inference.runner import Forward, divide
from benchmark.models.registry import load
from d3s_dataset.utils.cli import cores
from d3s_dataset.utils.pixels import rgb
from tests.bench.compare import compare
from tests.bench.test_models import release

__all__ = ["release"]

pytestmark = pytest.mark.bench
ROUNDS, IMAGES, BATCH = 3, 1024, 32

Prepare = Callable[..., np.ndarray]


class Encoded(Dataset[torch.Tensor]):
    """A split for torch's DataLoader: encoded images in memory, transformed in its workers."""

    def __init__(self, images: list[bytes | None], prepare: Prepare) -> None:
        self._images, self._prepare = images, prepare

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(np.array(self._prepare(rgb(self._images[index]))))


def ours(split: Split, prepare: Prepare) -> Iterator[np.ndarray]:
    for _, pixels in blocks(split, prepare, spans(split.n)):
        yield from np.array_split(pixels, max(1, len(pixels) // BATCH))


def torchs(split: Split, prepare: Prepare) -> Iterator[np.ndarray]:
    data = Encoded([each for each, _ in zip(split.images(), range(split.n), strict=False)], prepare)
    for images in DataLoader(data, BATCH, num_workers=cores()):
        yield images.numpy()


def timms(path: Path, config: dict) -> Iterator[torch.Tensor]:
    keys = {"input_key": "image", "target_key": "foreground"}
    data = timm.data.create_dataset(f"hfds/{path}", "", split=f"validation[:{IMAGES}]", **keys)
    loader = timm.data.create_loader(
        data, config["input_size"], BATCH, use_prefetcher=False, num_workers=cores(), device=torch.device("cpu"),
        mean=config["mean"], std=config["std"], interpolation=config["interpolation"], crop_pct=config["crop_pct"],
    )  # fmt: skip
    for images, _ in loader:
        yield images


def test_the_decoder_beside_loaders(release, shared_data, ratio):
    classifier = load("mobilenetv2_100", shared_data / "weights" / "mobilenetv2_100.safetensors", {"pad_type": "same"})
    prepare, finish = divide(classifier.transform)
    split = open_split(release, "default", "validation", IMAGES)
    config = timm.data.resolve_model_data_config(classifier.network)
    runner = Forward("mobilenetv2_100", classifier.network, torch.device("cpu"), finish)

    def plain(images: torch.Tensor) -> None:
        with torch.inference_mode():
            classifier.network(images.contiguous(memory_format=torch.channels_last))

    def drain(stream: Callable[[], Iterator], use: Callable[..., object]) -> Callable[[], None]:
        def run() -> None:
            seen = 0
            for images in stream():
                use(images)
                seen += len(images)
            assert seen == IMAGES

        return run

    for what, network, finished in (("alone", np.asarray, np.asarray), ("then fp32", runner.logits, plain)):
        found = compare(
            f"{IMAGES} images, {what}",
            ROUNDS,
            **{
                "torch's DataLoader": drain(lambda: torchs(split, prepare), network),
                "timm's loader": drain(lambda: timms(release, config), finished),
                "decode.blocks": drain(lambda: ours(split, prepare), network),
            },
        )
        mine = found.pop("decode.blocks")
        for name, seconds in found.items():
            ratio(f"decoding {what}, {name} / decode.blocks", seconds / mine)
