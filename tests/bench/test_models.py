"""`make bench`: a model over a release, beside timm's loader with a plain loop and with its best flags; and the floor.

Wall time of two lengths in one run: their difference holds neither start-up nor compilation. Real weights where they
are at hand; random ones cost what trained ones cost. Ratios count, and only on an idle machine.
"""

import io
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file

from benchmark.cache.blocks import Store
from benchmark.cache.cache import Options
from benchmark.data.split import open_split
from benchmark.inference import predict
from benchmark.inference import runner as forward
from benchmark.inference.devices import fast_bf16
from benchmark.inference.predict import answer
from benchmark.inference.runner import Forward, divide
from benchmark.models import packaged
from benchmark.models.classifier import Classifier
from benchmark.models.registry import load
from benchmark.schemas.predictions import Answers
from d3s_dataset.utils.cli import cores
from generation.planning.plan import Plan
from generation.recipe.recipe import load_recipe
from generation.run import generate, open_sources

pytestmark = pytest.mark.bench
ROUNDS = 3
# Images of the two lengths, both past the first block, and the goal: the floor's share of our time.
MODELS = {
    "mobilenetv2_100": (256, 1024, 0.9),
    "tf_efficientnet_lite0": (256, 1024, 0.9),
    "resnet50": (256, 512, 0.95),
    "convnext_base": (256, 384, 0.95),
}
KWARGS = {"mobilenetv2_100": {"pad_type": "same"}}
PLAIN = "timm's loader, fp32"
PRECISIONS = ("fp32", "bf16") if fast_bf16(torch.device("cpu")) else ("fp32",)


@pytest.fixture(scope="module")
def release(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("speed") / "d3s"
    recipe = load_recipe("paper").changed(rows=2160, model="none")
    generate(
        Plan(recipe, *open_sources(recipe, *(str(shared_data / each) for each in ("foregrounds", "backgrounds")))), out
    )
    return out


def _network(name: str, shared: Path) -> torch.nn.Module:
    """Return a network with real weights where they are at hand, else with random ones."""
    torch.manual_seed(0)
    network = timm.create_model(name, **KWARGS.get(name, {}))
    if name == "mobilenetv2_100":
        network.load_state_dict(load_file(shared / "weights" / "mobilenetv2_100.safetensors"))
    if name == "tf_efficientnet_lite0":
        network = packaged.load(f"packaged:{name}", None, {}).network
    return network.eval()


def _classifier(name: str, shared: Path) -> Classifier:
    network = _network(name, shared)
    config = timm.data.resolve_model_data_config(network)
    transform = timm.data.create_transform(**config, is_training=False)
    return Classifier(name, name, None, {}, "0" * 64, network, transform, config)  # pyright: ignore


class Timm:
    """What timm's validate.py does: plain, or with --channels-last, --amp --amp-dtype bfloat16, --torchcompile."""

    def __init__(self, release: Path, model: torch.nn.Module, *, best: bool, bf16: bool, compiled: bool) -> None:
        self._release, self._best, self._bf16 = release, best, bf16
        self._model = model.to(memory_format=torch.channels_last) if best else model  # pyright: ignore
        self._run = torch.compile(self._model) if compiled else self._model

    def __call__(self, n: int) -> None:
        keys = {"input_key": "image", "target_key": "foreground"}
        data = timm.data.create_dataset(f"hfds/{self._release}", "", split=f"validation[:{n}]", **keys)
        config = timm.data.resolve_model_data_config(self._model)
        loader = timm.data.create_loader(
            data, config["input_size"], 32, use_prefetcher=False, num_workers=cores(), device=torch.device("cpu"),
            mean=config["mean"], std=config["std"], interpolation=config["interpolation"],
            crop_pct=config["crop_pct"],
        )  # fmt: skip
        layout = torch.channels_last if self._best else torch.contiguous_format
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self._bf16):
            for images, _ in loader:
                self._run(images.contiguous(memory_format=layout)).float().topk(5)


@dataclass(frozen=True)
class Ours:
    """benchmark.run's answers; `compiled`: as it gives them to work of minutes on a CPU, which pays for that."""

    release: Path
    classifier: Classifier
    precision: str
    compiled: bool

    def __call__(self, n: int) -> None:
        split = open_split(self.release, "default", "validation", n)
        with patch.object(predict, "pays", lambda *_: self.compiled), patch.object(forward, "pays", lambda *_: True):
            answer(self.classifier, split, Options(self.precision), Store(Answers))

    def floor(self) -> float:
        """Return the least seconds an image: core-seconds of decode, transform, forward, each alone, over the cores."""
        prepare, finish = divide(self.classifier.transform)
        encoded: Iterator[bytes | None] = open_split(self.release, "default", "validation").images()
        some = [next(encoded) or b"" for _ in range(96)]
        start = time.process_time()
        pixels = np.stack([np.asarray(prepare(Image.open(io.BytesIO(each)).convert("RGB"))) for each in some])
        decode = (time.process_time() - start) / len(some)
        runner = Forward(self.classifier.name, self.classifier.network, torch.device("cpu"), finish)
        runner.precision = self.precision
        if self.compiled:
            runner.use_compiled()
        runner.logits(pixels)
        start = time.process_time()
        runner.logits(pixels)
        return (decode + (time.process_time() - start) / len(pixels)) / cores()


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _ways(release: Path, name: str, shared: Path) -> dict[str, Timm | Ours]:
    """Return timm's and our ways in each precision, plain and compiled, each with a network of its own."""
    ways: dict[str, Timm | Ours] = {
        PLAIN: Timm(release, _network(name, shared), best=False, bf16=False, compiled=False)
    }
    for precision in PRECISIONS:
        for compiled in (False, True):
            after = f"{precision}, compiled" if compiled else precision
            given = {"best": True, "bf16": precision == "bf16", "compiled": compiled}
            ways[f"timm's loader, channels_last, {after}"] = Timm(release, _network(name, shared), **given)
            ways[f"ours, {after}"] = Ours(release, _classifier(name, shared), precision, compiled=compiled)
    return ways


@pytest.mark.parametrize("name", MODELS)
def test_a_model_over_a_release(release, name, shared_data, tmp_path, monkeypatch, ratio):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # nothing compiled before
    ways = _ways(release, name, shared_data)
    each, floors = measured(ways, *MODELS[name][:2])
    print(f"\n{name}, {cores()} cores, median of {ROUNDS}: ms an image beyond start-up; times as fast as the first; "
          f"the floor's share (goal {MODELS[name][2]} on an idle machine)")  # fmt: skip
    for way in ways:
        share = f"{floors[way] / each[way]:6.2f}" if way in floors else ""
        print(f"  {way:<46} {1000 * each[way]:8.2f} ms {each[PLAIN] / each[way]:6.2f} x {share}")
        if way in floors:
            ratio(f"{name}, {way}, the floor's share", floors[way] / each[way])
            theirs = each[way.replace("ours,", "timm's loader, channels_last,")]
            ratio(f"{name}, {way}, beside timm's with the same flags", theirs / each[way])


def measured(ways: Mapping[str, Timm | Ours], short: int, long: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return the median seconds an image of each way, and of ours its floor."""
    rounds: dict[str, list[float]] = {way: [] for way in ways}
    floors: dict[str, list[float]] = {way: [] for way, run in ways.items() if isinstance(run, Ours)}
    for _ in range(ROUNDS):
        for way, run in ways.items():
            torch.compiler.reset()  # ours would go through what timm's compiled, whose weights are no constants
            run(32)
            lengths = [_seconds(lambda: run(n)) for n in (short, long)]  # noqa: B023 - called here
            rounds[way].append((lengths[1] - lengths[0]) / (long - short))
            if isinstance(run, Ours):
                floors[way].append(run.floor())
    return tuple({way: statistics.median(times) for way, times in each.items()} for each in (rounds, floors))


def test_bf16_beside_fp32_with_real_weights(release, shared_data):
    """On photos and on guides apart: agreement, paired difference of top-1 with its interval, what `auto` takes."""
    classifier = load("mobilenetv2_100", shared_data / "weights" / "mobilenetv2_100.safetensors", {"pad_type": "same"})
    from benchmark.data.imagenet import Folder

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
