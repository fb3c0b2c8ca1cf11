"""Every way to make images, through kill -9 and on a Ray cluster: the same release as without."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from d3s_dataset.check import check_release
from generation.execution.options import How
from generation.images.diffusion import ImageToImage
from generation.planning.plan import Plan
from generation.recipe.recipe import load_recipe
from generation.release.build import generate
from generation.run import open_sources
from tests.conftest import ROOT
from tests.support.releases import apart, rows_of
from tests.support.tiny_flux import build_klein
from tests.support.tiny_sd import build

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.long]
GENERATOR = {  # of each mode: its keys beside model, steps and dtype
    "redraw": 'scheduler = "DDIMScheduler"',
    "inpaint": 'mode = "inpaint"\nscheduler = "DDIMScheduler"\nstrength = 1.0',
    "edit": 'mode = "edit"\nguidance_scale = 1.0',
}
ROWS = ("--rows", "12", "--shard-rows", "3")


@pytest.fixture(scope="module", params=GENERATOR)
def recipe(request, tmp_path_factory):
    """The drawn sample in one mode at 64 px, with its guides: a recipe file."""
    folder = tmp_path_factory.mktemp(request.param)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_klein(folder) if request.param == "edit" else build(folder)
    text = (ROOT / "generation" / "recipes" / "sample.toml").read_text().replace("size = 256", "size = 64")
    keys = f'model = "{model}"\n{GENERATOR[request.param]}\nsteps = 4\ndtype = "fp32"'
    text = text.replace('model = "none"', keys) + '\n[image]\nformat = "png"\n'
    if request.param == "edit":
        text += '[prompt]\ninstruction = "put the {synonym} {phrase}"\n'
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def make(recipe, out, how):
    """Make the release in this process, which has imported what it takes."""
    own = load_recipe(str(recipe)).changed(rows=12)
    generate(Plan(own, *open_sources(own, None, None)), out, how)
    assert check_release(out) == []


@pytest.fixture(scope="module")
def whole(recipe):
    make(recipe, recipe.parent / "whole", How(3, 4, 1, ("cpu",)))
    return recipe.parent / "whole"


def start(out: Path, *line: object, **env: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "generation.run", *map(str, line), "--out", str(out)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=ROOT, env=os.environ | env, **pipes)


def test_a_run_that_was_killed_is_finished_by_the_same_command(recipe, whole, tmp_path, monkeypatch):
    """Kill -9 after the first shard: it is kept as it was, and the rest is made in other batches."""
    out = tmp_path / "d3s"
    line = ("--recipe", recipe, *ROWS, "--devices", "cpu", "--batch-size", 3, "--workers", 1)
    process = start(out, *line)
    while not list(out.glob("data/*.parquet")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (out / "manifest.json").exists()
    kept = {seed for path in out.glob("data/*.parquet") for seed in pq.read_table(path)["seed"].to_pylist()}
    seeds, original = [], ImageToImage.__call__
    monkeypatch.setattr(ImageToImage, "__call__", lambda self, *given: seeds.extend(given[2]) or original(self, *given))
    make(recipe, out, How(3, 2, 1, ("cpu",)))
    assert len(kept) >= 3
    assert not kept & set(seeds)
    assert len(seeds) == 12 - len(kept)
    assert apart(out, whole) <= 1


def test_a_cluster_makes_the_same_images(recipe, whole, tmp_path):
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = str(ROOT)  # what nodes start with, as if the project were installed on them
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        process = start(tmp_path / "d3s", "--recipe", recipe, *ROWS, "--engine", "ray", RAY_ADDRESS=cluster.address)
        _, said = process.communicate(timeout=400)
    finally:
        cluster.shutdown()
        os.environ.pop("PYTHONPATH")
    assert process.returncode == 0, said
    assert check_release(tmp_path / "d3s") == []
    assert apart(tmp_path / "d3s", whole) <= 1
    ours, theirs = rows_of(tmp_path / "d3s"), rows_of(whole)
    assert all(ours[key]["mask"] == row["mask"] for key, row in theirs.items())
