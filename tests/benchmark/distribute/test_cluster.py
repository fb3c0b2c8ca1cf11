"""A real Ray cluster of three nodes on this machine: the files of one run, also when a node is lost on the way."""

import os
import subprocess
import sys
import time

import pytest

from benchmark import run
from tests.conftest import ROOT
from tests.support.evaluations import same_files

ONE_THREAD = {"OMP_NUM_THREADS": "1"}  # as on a node with one core


@pytest.fixture
def cluster(monkeypatch):
    """Three nodes with a core each, in processes of their own; yields (cluster, the third node)."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # what nodes start with, as if the project were installed on them
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    third = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    try:
        yield cluster, third
    finally:
        cluster.shutdown()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")  # Ray's own
def test_three_nodes_one_of_them_lost_on_the_way(cluster, toy, small, other, tmp_path):
    nodes, third = cluster
    line = [sys.executable, "-m", "benchmark.run", "--model", f"local-dir:{small}", f"local-dir:{other}"]
    line += ["--dataset", toy, "--split", "train", "--precision", "fp32"]

    def start(name: str, *more: str) -> subprocess.Popen[str]:
        environment = os.environ | ONE_THREAD | {"D3S_CACHE": str(tmp_path / "cache" / name)}
        code = "import sys; from benchmark.cache import blocks; blocks.BLOCK = 4; from benchmark.run import main; "
        code += "main(sys.argv[1:])"
        call = [sys.executable, "-c", code, *map(str, line[3:]), *more, "--out", str(tmp_path / name)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(call, cwd=ROOT, env=environment | {"RAY_ADDRESS": nodes.address}, **pipes)

    process = start("ray", "--engine", "ray")
    while not list((tmp_path / "cache" / "ray").glob("predictions/*/*-*.npz")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    nodes.remove_node(third, allow_graceful=False)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    alone = start("alone")
    _, said = alone.communicate(timeout=300)
    assert alone.returncode == 0, said
    assert same_files(tmp_path / "ray", tmp_path / "alone")


def test_a_cluster_that_cannot_be_reached_is_one_line(line, fails, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("D3S_CACHE", str(tmp_path))
    assert "127.0.0.1:1: Connection refused; expected RAY_ADDRESS=" in fails(run.main, [*line, "--engine", "ray"])


def test_without_ray_its_extra_is_named(line, fails, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install '.[ray]'" in fails(run.main, [*line, "--engine", "ray"])
