"""A real Ray cluster of two nodes on this machine: the same release, also when a node dies on the way."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.releases import apart, same_bytes

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own
SAMPLE = ["--recipe", "sample", "--rows", "240", "--shard-rows", "20"]


@pytest.fixture
def cluster():
    """Two nodes with a core each, in processes of their own; yields (cluster, its address, the second node)."""
    from ray.cluster_utils import Cluster

    os.environ["PYTHONPATH"] = str(ROOT)  # what nodes start with, as if the project were installed on them
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    try:
        yield cluster, cluster.address, second
    finally:
        cluster.shutdown()
        os.environ.pop("PYTHONPATH")


def start(address: str, out: Path, *more: object) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "generation.run", *map(str, more or SAMPLE), "--engine", "ray", "--out", str(out)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(line, cwd=ROOT, env=os.environ | {"RAY_ADDRESS": address}, **pipes)


@pytest.mark.long
def test_two_nodes_one_of_them_killed_on_the_way(cluster, command, tmp_path):
    nodes, address, second = cluster
    process = start(address, tmp_path / "ray")
    while not list((tmp_path / "ray").glob("data/*.parquet")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    nodes.remove_node(second, allow_graceful=False)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert command("generation.run", *SAMPLE, "--out", tmp_path / "local").returncode == 0
    assert same_bytes(tmp_path / "ray", tmp_path / "local")


@pytest.mark.long
def test_redrawn_on_the_cluster_within_one_level(cluster, command, tiny_model, tmp_path):
    _, address, _ = cluster
    recipe = tmp_path / "tiny.toml"
    text = (ROOT / "generation" / "recipes" / "sample.toml").read_text()
    text = text.replace(
        'model = "none"', f'model = "{tiny_model}"\nscheduler = "DDIMScheduler"\nsteps = 4\ndtype = "fp32"'
    )
    recipe.write_text(text.replace("size = 256", "size = 64") + '\n[image]\nformat = "png"\n')
    given = ["--recipe", recipe, "--rows", 24, "--shard-rows", 6]
    process = start(address, tmp_path / "ray", *given)
    _, said = process.communicate(timeout=600)
    assert process.returncode == 0, said
    assert command("generation.run", *given, "--devices", "cpu", "--out", tmp_path / "local").returncode == 0
    assert apart(tmp_path / "ray", tmp_path / "local") <= 1


def test_a_node_that_cannot_read_the_photos_is_named(monkeypatch):
    """A node where the guide of the first row cannot be composed is refused before it makes failed rows."""
    from d3s_dataset.errors import SourceError
    from generation.execution.ray import RayLane

    class Method:
        def remote(self, *_):
            return self

    class Ray:
        exceptions = type("exceptions", (), {"RayTaskError": KeyError, "RayError": KeyError})

        def get(self, _):
            return None, {}, "photo n01/1.jpg cannot be read: no such file"

    lane = RayLane(Ray(), type("Actor", (), {"open": Method()}), "abc", "node-7")
    lane.start(None)
    with pytest.raises(SourceError, match="node node-7 of the cluster cannot read the photos"):
        lane.opened(True)
