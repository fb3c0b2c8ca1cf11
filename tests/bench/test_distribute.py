"""An evaluation on one process, in three parts, and on three Ray nodes of which one is lost: same files, wall time.

The issue's sizes are SCALE = 1: one model on 17,000 images, and eight models on 2,000.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.evaluations import same_files

pytestmark = [pytest.mark.bench, pytest.mark.filterwarnings("ignore")]
SCALE = 0.03
NAMES = ("resnet18", "resnet26", "mobilenetv2_100", "mobilenetv3_large_100", "regnety_002", "ghostnet_100",
         "mnasnet_100", "efficientnet_lite0")  # fmt: skip


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """Drawn guides of 256 px, 17,000 for training at full scale."""
    folder = tmp_path_factory.mktemp("release") / "d3s"
    rows = str(int(21_500 * SCALE))
    call = [sys.executable, "-m", "generation.run", "--recipe", "sample", "--rows", rows, "--out", str(folder)]
    subprocess.run(call, cwd=ROOT, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Random networks, saved."""
    import timm
    import torch
    from timm.models import save_for_hf

    folder = tmp_path_factory.mktemp("models")
    for name in NAMES:
        torch.manual_seed(0)
        save_for_hf(timm.create_model(name), str(folder / name), safe_serialization=True)
    for path in folder.rglob("*"):  # the digest of a younger file is not kept
        os.utime(path, (time.time() - 60, time.time() - 60))
    return [f"local-dir:{folder / name}" for name in NAMES]


class Evaluation:
    """Command lines of one evaluation, each with a cache of its own; `seconds` of each."""

    def __init__(self, folder: Path, *line: object) -> None:
        self.folder = folder
        self.line = [*map(str, line), "--precision", "fp32", "--no-compile", "--devices", "cpu"]
        self.seconds: dict[str, float] = {}

    def start(self, name: str, *more: str, **environment: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {"D3S_CACHE": str(self.folder / f"{name}-cache")} | environment
        line = self.line[:-2] if "ray" in more else self.line
        call = [sys.executable, "-m", "benchmark.run", *line, *more]
        return subprocess.Popen(call, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)

    def run(self, name: str, *more: str, **environment: str) -> Path:
        began, out = time.monotonic(), self.folder / name
        assert self.start(name, *more, *([] if "--part" in more else ["--out", str(out)]), **environment).wait() == 0
        self.seconds[name] = self.seconds.get(name, 0) + time.monotonic() - began
        return out

    def on_cluster(self) -> Path:
        from ray.cluster_utils import Cluster

        os.environ["PYTHONPATH"] = str(ROOT)
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        cluster.add_node(num_cpus=1)
        third = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        began = time.monotonic()
        try:
            process = self.start(
                "ray", "--engine", "ray", "--out", str(self.folder / "ray"), RAY_ADDRESS=cluster.address
            )
            while not list(self.folder.glob("ray-cache/predictions/*/*-*.npz")):
                assert process.poll() is None
                time.sleep(0.1)
            cluster.remove_node(third, allow_graceful=False)
            assert process.wait() == 0
        finally:
            cluster.shutdown()
            os.environ.pop("PYTHONPATH")
        self.seconds["ray"] = time.monotonic() - began
        return self.folder / "ray"


@pytest.mark.parametrize("which", ["one model", "eight models"])
def test_same_files_and_wall_time(which, release, models, tmp_path, capsys):
    one = which == "one model"
    chosen, limit = models[: 1 if one else 8], int((17_000 if one else 2000) * SCALE)
    work = Evaluation(tmp_path, "--dataset", release, "--split", "train", "--limit", limit, "--model", *chosen)
    whole, single = work.run("one"), work.run("one thread", OMP_NUM_THREADS="1")
    for part in ("1/3", "2/3", "3/3"):
        parts = work.run("parts", "--part", part)
    parts = work.run("parts", "--finish")
    assert same_files(whole, parts)
    assert same_files(single, work.on_cluster())  # Ray gives a worker as many threads as its node has cores
    with capsys.disabled():
        print(f"\n{which} x {limit} images, fp32, CPU:", {name: f"{each:.0f} s" for name, each in work.seconds.items()})
        print("one thread gives the bytes of all:", same_files(whole, single))
