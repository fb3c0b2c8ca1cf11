"""`make bench`: a model over a release, beside timm's loader with a plain loop and with its best flags; and the floor.

Wall time of two lengths in one run: their difference holds neither start-up nor compilation; the longer one holds both.
Random weights: they cost what trained ones cost. Ratios count, and only on an idle machine.
"""

import io
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from benchmark import forward, predict
from benchmark.cache import Options
from benchmark.data import Split, open_split
from benchmark.forward import Forward, divide
from benchmark.models import Classifier, load
from benchmark.predict import answer
from benchmark.predictions import Answers
from benchmark.store import Store
from d3s_dataset.command import cores
from generation.plan import Plan
from generation.recipe import load_recipe
from generation.run import generate, open_sources

pytestmark = pytest.mark.bench
ROUNDS = 3
# Images of the two lengths; least ratio of the floor to ours.
MODELS = {"mobilenetv3_small_100": (256, 1792, 0.8), "convnext_base": (64, 192, 0.9)}


@pytest.fixture(scope="module")
def release(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("speed") / "d3s"
    recipe = load_recipe("paper").changed(rows=2160, model="none")
    generate(
        Plan(recipe, *open_sources(recipe, *(str(shared_data / each) for each in ("foregrounds", "backgrounds")))), out
    )
    return out


def _classifier(name: str) -> Classifier:
    torch.manual_seed(0)
    network = timm.create_model(name).eval()
    config = timm.data.resolve_model_data_config(network)
    transform = timm.data.create_transform(**config, is_training=False)
    return Classifier(name, name, None, {}, "0" * 64, network, transform, config)  # pyright: ignore


def _timm(release: Path, name: str, n: int, *, best: bool) -> None:
    """What timm's validate.py does; `best`: with --channels-last --amp --amp-dtype bfloat16 --torchcompile."""
    model = timm.create_model(name).eval()
    keys = {"input_key": "image", "target_key": "foreground"}
    data = timm.data.create_dataset(f"hfds/{release}", "", split=f"validation[:{n}]", **keys)
    config = timm.data.resolve_model_data_config(model)
    loader = timm.data.create_loader(
        data, config["input_size"], 32, use_prefetcher=False, num_workers=cores(), device=torch.device("cpu"),
        mean=config["mean"], std=config["std"], interpolation=config["interpolation"], crop_pct=config["crop_pct"],
    )  # fmt: skip
    run = model
    if best:
        model = model.to(memory_format=torch.channels_last)
        torch._dynamo.reset()
        run = torch.compile(model)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=best):
        for images, _ in loader:
            run(images.contiguous(memory_format=torch.channels_last) if best else images).float().topk(5)


def _ours(release: Path, classifier: Classifier, n: int, precision: str) -> None:
    answer(classifier, open_split(release, "default", "validation", n), Options(precision), Store(Answers))


def _compiled(release: Path, classifier: Classifier, n: int, precision: str) -> None:
    """As `_ours` does work of 7 minutes and more on a CPU, which pays for compilation."""
    torch._dynamo.reset()
    with patch.object(predict, "pays", lambda *_: True), patch.object(forward, "pays", lambda *_: True):
        _ours(release, classifier, n, precision)


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _floor(split: Split, classifier: Classifier, precision: str) -> float:
    """Return the least seconds an image: core-seconds of decode, transform and forward, each alone, over the cores."""
    prepare, finish = divide(classifier.transform)
    encoded: Iterator[bytes | None] = split.images()
    some = [next(encoded) or b"" for _ in range(96)]
    start = time.process_time()
    pixels = np.stack([np.asarray(prepare(Image.open(io.BytesIO(each)).convert("RGB"))) for each in some])
    decode = (time.process_time() - start) / len(some)
    runner = Forward(classifier.name, classifier.network, torch.device("cpu"), finish)
    runner.precision = precision
    runner.logits(pixels)
    start = time.process_time()
    runner.logits(pixels)
    return (decode + (time.process_time() - start) / len(pixels)) / cores()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_over_a_release(release, name):
    short, long, least = MODELS[name]
    classifier = _classifier(name)
    precision = "bf16" if forward.fast_bf16(torch.device("cpu")) else "fp32"
    ways: dict[str, Callable[[int], None]] = {
        "timm's loader, fp32": lambda n: _timm(release, name, n, best=False),
        "timm's loader, channels_last, bf16, compile": lambda n: _timm(release, name, n, best=True),
        f"ours, {precision}": lambda n: _ours(release, classifier, n, precision),
        f"ours, {precision}, compiled": lambda n: _compiled(release, classifier, n, precision),
    }
    for run in ways.values():  # compiled code and pages of files are there for all, or for none
        run(32)
    rounds: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
    floors = []
    for _ in range(ROUNDS):
        for way, run in ways.items():
            rounds[way].append((_seconds(lambda: run(short)), _seconds(lambda: run(long))))  # noqa: B023 - called here
        floors.append(_floor(open_split(release, "default", "validation"), classifier, precision))
    each = {way: statistics.median((b - a) / (long - short) for a, b in times) for way, times in rounds.items()}
    whole = {way: statistics.median(b for _, b in times) for way, times in rounds.items()}
    floor = statistics.median(floors)
    ours = each[f"ours, {precision}"]
    print(f"\n{name}, {cores()} cores, median of {ROUNDS}: ms an image beyond start-up; ratio; {long} images whole")
    for way in ways:
        print(f"  {way:<46} {1000 * each[way]:8.2f} ms {each[way] / ours:6.2f} x {whole[way]:8.1f} s")
    print(f"  {'the floor':<46} {1000 * floor:8.2f} ms {floor / ours:6.2f} x   (at least {least} on an idle machine)")


def test_bf16_beside_fp32_with_real_weights(release, shared_data):
    """On photos and on guides apart: agreement, paired difference of top-1 with its interval, what `auto` takes."""
    classifier = load("mobilenetv2_100", shared_data / "weights" / "mobilenetv2_100.safetensors", {"pad_type": "same"})
    from benchmark.imagenet import Folder

    for label, source in (
        ("photos", Folder(shared_data / "foregrounds")),
        ("guides", open_split(release, "default", "validation", 600)),
    ):
        stores = {precision: Store(Answers) for precision in ("fp32", "bf16", "auto")}
        used = {name: answer(classifier, source, Options(name), store) for name, store in stores.items()}
        first, second = (stores[name].all(source.n).prediction[:, 0] for name in ("fp32", "bf16"))
        change = (second == source.foreground).astype(float) - (first == source.foreground)
        mean, half = change.mean(), 1.96 * change.std(ddof=1) / source.n**0.5
        print(
            f"\n{label} ({source.n}): the same top-1 on {100 * (first == second).mean():.1f} %; bf16 - fp32 "
            f"{100 * mean:+.2f} points ({100 * (mean - half):+.2f} to {100 * (mean + half):+.2f}); auto took "
            f"{used['auto'].precision} (agreement {used['auto'].agreement})"
        )
