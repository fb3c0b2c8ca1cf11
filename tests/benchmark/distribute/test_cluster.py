"""A real Ray cluster of three nodes on this machine: the files of one run, whatever is lost or killed on the way."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmark import run
from tests.conftest import ROOT
from tests.support.clusters import Nodes, below, living, wait_until
from tests.support.evaluations import same_files
from tests.support.processes import kill_when

SMALL_BLOCKS = """
import sys
from benchmark.cache import blocks
blocks.BLOCK = 4
from benchmark.run import main, run_command
run_command(main, sys.argv[1:])
"""
SOON = 30.0  # seconds within which Ray notices a death
AGENTS = {"ray::DashboardAgent", "ray::RuntimeEnvAgent"}  # of a node: they miss it after a minute, and compute nothing
IGNORED = pytest.mark.filterwarnings("ignore")  # Ray's own


class Runs:
    """Processes of `benchmark.run` on blocks of four images, with caches and results by name."""

    def __init__(self, folder: Path, *line: object) -> None:
        self.folder = folder
        self.line = list(map(str, line))

    def start(self, name: str, *more: str, address: str | None = None) -> subprocess.Popen[str]:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "D3S_CACHE": str(self.cache(name))}
        environment |= {} if address is None else {"RAY_ADDRESS": address}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        call = [sys.executable, "-c", SMALL_BLOCKS, *self.line, *more]
        return subprocess.Popen(call, cwd=ROOT, env=environment, **pipes)

    def cache(self, name: str) -> Path:
        return self.folder / "caches" / name

    def blocks(self, name: str) -> int:
        return len(list(self.cache(name).glob("*/*/*-*.npz")))

    def on_ray(self, address: str | None, out: bool = True) -> subprocess.Popen[str]:
        where = ["--out", str(self.folder / "ray")] if out else []
        return self.start("ray", "--engine", "ray", *where, address=address)

    def alone(self) -> Path:
        finish(self.start("alone", "--out", str(self.folder / "alone")))
        return self.folder / "alone"


def finish(process: subprocess.Popen[str]) -> str:
    said, wrong = process.communicate(timeout=300)
    assert process.returncode == 0, wrong
    return said


@pytest.fixture
def two_models(toy, small, other, tmp_path) -> Runs:
    models = [f"local-dir:{small}", f"local-dir:{other}"]
    return Runs(tmp_path, "--model", *models, "--dataset", toy, "--split", "train", "--precision", "fp32")


ALL = 60  # blocks of two models on 120 images


@pytest.mark.long
@IGNORED
def test_a_node_is_lost_at_its_work_and_the_files_are_those_of_one_run(two_models, tmp_path):
    with Nodes(3) as nodes:
        process = two_models.on_ray(nodes.address)
        assert wait_until(lambda: nodes.works(2), 120), "the third node began no blocks"
        nodes.lose(2)
        assert two_models.blocks("ray") < ALL
        finish(process)
    assert same_files(tmp_path / "ray", two_models.alone())


@pytest.mark.long
@IGNORED
def test_a_killed_driver_leaves_no_worker_and_the_same_command_goes_on(two_models, tmp_path):
    """Then it is killed with all nodes at once, and goes on with other nodes."""
    with Nodes(3) as nodes:
        busy = set()

        def begun(least: int) -> bool:
            if two_models.blocks("ray") >= least:
                busy.update(nodes.busy())
            return bool(busy)

        kill_when(two_models.on_ray(nodes.address), lambda: begun(1), 120)
        kept = two_models.blocks("ray")
        assert 0 < kept < ALL
        assert wait_until(lambda: not living(busy) and not nodes.busy(), SOON), "workers go on without their driver"
        assert two_models.blocks("ray") == kept
        kill_when(two_models.on_ray(nodes.address), lambda: begun(kept + 1), 120)
        nodes.kill()
    kept = two_models.blocks("ray")
    assert kept < ALL
    with Nodes(2) as nodes:
        finish(two_models.on_ray(nodes.address))
    assert same_files(tmp_path / "ray", two_models.alone())


@pytest.mark.long
@IGNORED
def test_a_killed_driver_takes_the_cluster_that_it_started_with_it(two_models, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    process = two_models.on_ray(None)
    started = set()

    def begun() -> bool:
        if two_models.blocks("ray"):
            started.update(below([process.pid]))
        return bool(started)

    kill_when(process, begun, 120)
    assert len(started) > 2  # Ray's own processes and a worker
    assert wait_until(lambda: set(living(started)) <= AGENTS, SOON), living(started)


@pytest.mark.long
@IGNORED
def test_several_configs_and_features_are_those_of_one_run(controlled, small, other, tmp_path):
    line = ["--model", f"local-dir:{small}", f"local-dir:{other}", "--dataset", controlled]
    line += ["--config", "default", "guides", "control_scale"]
    predictions, features = (
        Runs(tmp_path, *line, "--precision", "fp32"),
        Runs(tmp_path / "features", *line, "--features"),
    )
    with Nodes(2) as nodes:
        finish(predictions.on_ray(nodes.address))
        said = finish(features.on_ray(nodes.address, out=False))
    assert said.count("features of 40 images") == 6
    assert len(list((tmp_path / "ray").glob("*.json"))) == 6
    assert same_files(tmp_path / "ray", predictions.alone())
    finish(features.start("alone"))
    one, two = (sorted(features.cache(name).glob("features/*/*.npz")) for name in ("alone", "ray"))
    assert [each.name for each in one] == [each.name for each in two]
    assert len(one) == 6 * (10 + 1)  # blocks, and the head
    for left, right in zip(one, two, strict=True):
        with np.load(left) as expected, np.load(right) as found:
            for name in set(expected.files) - {"made"}:
                np.testing.assert_array_equal(expected[name], found[name])


@pytest.mark.long
@IGNORED
def test_an_unexpected_error_of_a_worker_is_one_line_and_what_was_made_is_kept(toy, small, broken, tmp_path):
    line = ["--dataset", toy, "--precision", "fp32"]
    both = Runs(tmp_path, *line, "--model", f"local-dir:{small}", f"local-dir:{broken}")
    alone = Runs(tmp_path / "single", *line, "--model", f"local-dir:{broken}")
    with Nodes(1) as nodes:
        processes = [both.on_ray(nodes.address), alone.on_ray(nodes.address)]
        lines = [process.communicate(timeout=300)[1].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [1, 1]
    why = f"local-dir:{broken} failed on a node of the cluster: RuntimeError: "
    assert why in lines[0][0]
    assert "finished blocks are kept" in lines[0][0]
    assert lines[0][1:] == [f"error: 1 models could not be run: local-dir:{broken}"]
    assert len(lines[1]) == 1
    assert lines[1][0].startswith(f"error: {why}")
    assert both.blocks("ray") == 23  # of the other model
    assert not list(tmp_path.glob("*/*.json"))


@pytest.fixture(scope="session")
def broken(small, make, tmp_path_factory) -> Path:
    """`small` for images of one channel, which D3S has none of."""
    import timm
    from timm.models import save_for_hf

    folder = tmp_path_factory.mktemp("broken") / "model"
    overlay = {"input_size": (3, 32, 32)}
    network = timm.create_model("test_resnet", num_classes=1000, in_chans=1, pretrained_cfg_overlay=overlay)
    save_for_hf(network, str(folder), safe_serialization=True, model_args={"in_chans": 1})
    make.age(folder)
    return folder


def test_a_cluster_that_cannot_be_reached_is_one_line(line, fails, monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("D3S_CACHE", str(tmp_path))
    assert "127.0.0.1:1: Connection refused; expected RAY_ADDRESS=" in fails(run.main, [*line, "--engine", "ray"])


def test_without_ray_its_extra_is_named(line, fails, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install '.[ray]'" in fails(run.main, [*line, "--engine", "ray"])
