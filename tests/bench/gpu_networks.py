"""Evaluation loop and training step on one device: the loader, the model and both together. Torch half."""

import json
import time
import warnings
from pathlib import Path

import timm
import torch

from benchmark.cache.blocks import Store
from benchmark.cache.cache import Options
from benchmark.data.decode import blocks
from benchmark.data.split import open_split
from benchmark.inference.predict import answer
from benchmark.inference.runner import divide, forwards
from benchmark.models.classifier import Classifier, ready
from benchmark.schemas.predictions import Answers
from benchmark.training.config import Settings
from benchmark.training.train import Images, train
from generation.execution.options import How
from generation.release.build import generate
from tests.bench.gpu_generation import Scale, mean_seconds
from tests.support.stand_in import plan_of


def release_of(scale: Scale, photos: Path, folder: Path) -> Path:
    """Make a release of guides to read: JPEG at the scale's side."""
    generate(plan_of(scale.images, scale.side, photos, model="none"), folder, How())
    return folder


def evaluation(scale: Scale, device: str, release: Path) -> dict[str, float]:
    """Return images per second of the loader alone, of the model alone, and of the loop of benchmark.run."""
    network = ready(timm.create_model(scale.network, num_classes=1000))
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    classifier = Classifier(scale.network, scale.network, None, {}, "", network, transform, {})
    split, store = open_split(release, "default", "train"), Store(Answers)
    prepare, finish = divide(transform)
    spans = store.missing(split.n)
    start = time.perf_counter()
    held = [pixels.copy() for _, pixels in blocks(split, prepare, spans, ahead=1)]
    loader = split.n / (time.perf_counter() - start)
    (runner,) = forwards(scale.network, network, [torch.device(device)], finish)
    runner.precision = scale.dtype
    pixels = held[0][: runner.batch_size]
    model = len(pixels) / mean_seconds(lambda: runner.logits(pixels).cpu(), scale.seconds / 4, device)
    start = time.perf_counter()
    answer(classifier, split, Options(scale.dtype, compile=False, devices=[device]), store)
    return {"loader": loader, "model": model, "loop": split.n / (time.perf_counter() - start)}


def training(scale: Scale, release: Path, out: Path) -> dict[str, float]:
    """Return images per second of the second epoch of benchmark.train, and calls per step that wait for the GPU."""
    split = open_split(release, "default", "train")
    size = 224 if scale.side >= 256 else 32
    settings = Settings(
        model=scale.network, epochs=2, size=size, batch_size=min(64, split.n // 4), precision=scale.dtype
    )
    cuda = torch.cuda.is_available()
    with warnings.catch_warnings(record=True) as waits:
        warnings.simplefilter("always")
        if cuda:
            torch.cuda.set_sync_debug_mode("warn")
        try:
            train(Images(split), settings, out)
        finally:
            if cuda:
                torch.cuda.set_sync_debug_mode("default")
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    found = {"images": split.n / max(lines[-1]["seconds"], 1e-3)}
    if cuda:
        own = [each for each in waits if "synchronizing" in str(each.message) and "benchmark" in each.filename]
        found["waits"] = len(own) / lines[-1]["step"]
    return found
