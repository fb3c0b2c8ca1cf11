"""An evaluation on one process, in three parts, and on three Ray nodes of which one is lost: same files, wall time.

One model on 17,000 images, and eight models on 2,000, at full size (about 20 minutes of two idle cores):

    D3S_BENCH_SCALE=1 python -m pytest tests/bench/test_distribute.py -m bench -s

Without the variable it is a twentieth of that, whose times are mostly start-up: those ratios are kept, for the guard.
Parts run one after the other and Ray's nodes share the same cores, so each way has what the one process has. Images are
of 64 px, networks of 128 and of 224: decoding is not the question.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmark.cache.blocks import spans
from tests.conftest import ROOT
from tests.support.clusters import Nodes
from tests.support.evaluations import same_files

pytestmark = [pytest.mark.bench, pytest.mark.filterwarnings("ignore")]
USUAL = 0.05
SCALE = float(os.environ.get("D3S_BENCH_SCALE", USUAL))
SIZE = 64
LONG, MANY = "one model", "eight models"
MODELS = {
    LONG: (128, ("resnet18",)),
    MANY: (224, ("resnet18", "mobilenetv2_100", "mobilenetv3_large_100", "mobilenetv3_small_100", "regnety_002",
                 "ghostnet_100", "mnasnet_100", "efficientnet_lite0")),
}  # fmt: skip
IMAGES = {LONG: 17_000, MANY: 2000}


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """Drawn guides, 17,000 for training at full scale."""
    folder = tmp_path_factory.mktemp("release")
    recipe = (ROOT / "generation" / "recipes" / "sample.toml").read_text()
    (folder / "small.toml").write_text(recipe.replace("size = 256", f"size = {SIZE}"))
    line = ["--recipe", folder / "small.toml", "--rows", int(20_500 * SCALE), "--out", folder / "d3s"]
    call = [sys.executable, "-m", "generation.run", *map(str, line)]
    subprocess.run(call, cwd=ROOT, check=True, capture_output=True)
    return folder / "d3s"


def saved(folder: Path, names: tuple[str, ...], size: int) -> list[str]:
    """Save random networks for images of a size; return what `--model` takes."""
    import timm
    import torch
    from timm.models import save_for_hf

    for name in names:
        torch.manual_seed(0)
        network = timm.create_model(name, pretrained_cfg_overlay={"input_size": (3, size, size)})
        save_for_hf(network, str(folder / name), safe_serialization=True)
    for path in folder.rglob("*"):  # the digest of a younger file is not kept
        os.utime(path, (time.time() - 60, time.time() - 60))
    return [f"local-dir:{folder / name}" for name in names]


class Evaluation:
    """Command lines of one evaluation, each way with a cache of its own; `seconds` of each way."""

    def __init__(self, folder: Path, *line: object) -> None:
        self.folder = folder
        self.line = [*map(str, line), "--precision", "fp32", "--no-compile"]
        self.seconds: dict[str, float] = {}
        self.load: dict[str, float] = {}  # of the last minute of each way

    def start(self, way: str, *more: str, **environment: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {"D3S_CACHE": str(self.folder / f"{way}-cache")} | environment
        call = [sys.executable, "-m", "benchmark.run", *self.line, *more]
        return subprocess.Popen(call, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)

    def run(self, way: str, *more: str, **environment: str) -> Path:
        began, out = time.monotonic(), self.folder / way
        more = (*more, "--devices", "cpu", *([] if "--part" in more else ["--out", str(out)]))
        assert self.start(way, *more, **environment).wait() == 0
        self._took(way, began)
        return out

    def _took(self, way: str, began: float) -> None:
        self.seconds[way] = self.seconds.get(way, 0) + time.monotonic() - began
        self.load[way] = os.getloadavg()[0]

    def in_parts(self) -> Path:
        for part in ("1/3", "2/3", "3/3"):
            self.run("parts", "--part", part)
        return self.run("parts", "--finish")

    def on_cluster(self, lost_after: int) -> Path:
        """Run on three nodes, of which one is killed at its work as soon as so many blocks are there."""
        out = self.folder / "ray"
        with Nodes(3) as nodes:
            began = time.monotonic()
            process = self.start("ray", "--engine", "ray", "--out", str(out), RAY_ADDRESS=nodes.address)
            while len(list(self.folder.glob("ray-cache/predictions/*/*-*.npz"))) < lost_after or not nodes.works(2):
                assert process.poll() is None
                time.sleep(0.1)
            nodes.lose(2)
            assert process.wait() == 0
            self._took("ray", began)
        return out


@pytest.mark.parametrize("which", MODELS)
def test_same_files_and_wall_time(which, release, tmp_path, capsys, ratio):
    limit, (size, names) = int(IMAGES[which] * SCALE), MODELS[which]
    models = saved(tmp_path / "models", names, size)
    work = Evaluation(tmp_path, "--dataset", release, "--split", "train", "--limit", limit, "--model", *models)
    whole = work.run("one process")
    assert same_files(whole, work.in_parts())
    there = work.on_cluster(len(spans(limit)) * len(models) // 2)
    if not (threads := same_files(whole, there)):  # Ray gives a worker as many threads as its node has cores
        assert same_files(work.run("one thread", OMP_NUM_THREADS="1"), there)
    ratios = {way: work.seconds["one process"] / work.seconds[way] for way in ("parts", "ray")}
    with capsys.disabled():
        print(f"\n{which} x {limit:,} images, fp32, CPU:", {way: f"{each:.1f} s" for way, each in work.seconds.items()})
        print("wall time of one process to that of", {way: f"{each:.2f}" for way, each in ratios.items()})
        print(f"one thread gives the bytes of all: {threads}; load at the end of each:", work.load)
    if SCALE == USUAL:
        for way, each in ratios.items():
            ratio(f"{which}, one process to {way}", each)
