"""Lanes and worker processes: the same release from any of them, and after any of them dies."""

import multiprocessing
import os
import signal
import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest
from PIL import Image

from d3s_dataset.check import check_release
from d3s_dataset.errors import GenerationError, MissingExtra, ModelError
from d3s_dataset.manifest import Source, read
from generation.execution.options import How
from generation.planning.plan import Plan
from generation.release.build import generate
from generation.sources.sample import DrawnBackgrounds
from tests.support.releases import apart, redrawn_plan, same_bytes, small_plan

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


def kill_a_child_when(seen) -> list[int]:
    """Kill -9 one child process of this one as soon as `seen()` holds; return a list that will name it."""
    killed: list[int] = []

    def watch() -> None:
        while not killed:
            children = [each for each in multiprocessing.active_children() if each.pid]
            if children and seen():
                os.kill(children[0].pid, signal.SIGKILL)
                killed.append(children[0].pid)
            time.sleep(0.005)

    threading.Thread(target=watch, daemon=True).start()
    return killed


def test_a_killed_worker_costs_nothing(tmp_path):
    generate(small_plan(), tmp_path / "once", How(25, workers=1))
    killed = kill_a_child_when(lambda: any((tmp_path / "killed").glob("data/*.parquet")))
    generate(small_plan(), tmp_path / "killed", How(25, workers=2))
    assert killed
    assert same_bytes(tmp_path / "once", tmp_path / "killed")


@dataclass
class Deadly:
    """Backgrounds that end the process that opens them, as a worker without memory ends."""

    inner: DrawnBackgrounds
    info: Source

    def photos(self) -> Any:
        return self.inner.photos()

    def open(self, photo: str, size: int) -> Image.Image:
        if multiprocessing.parent_process() is None:
            raise AssertionError("a worker should have opened this")
        os._exit(9)


@dataclass
class Poisoned(Deadly):
    """Backgrounds one of which ends the process that opens it."""

    photo: str = ""

    def open(self, photo: str, size: int) -> Image.Image:
        return super().open(photo, size) if photo == self.photo else self.inner.open(photo, size)


def test_a_photo_that_ends_its_worker_is_a_failed_row(tmp_path):
    plan = small_plan(60)
    photo = next(row for row in plan if row.split == "train").background_source
    poisoned = Plan(plan.recipe, plan.foregrounds, Poisoned(plan.backgrounds, plan.backgrounds.info, photo))
    generate(poisoned, tmp_path / "d3s", How(workers=2))
    failed = {row.key for row in plan if row.background_source == photo}
    assert {each.key: each.reason for each in read(tmp_path / "d3s").failures} == dict.fromkeys(
        failed, "making it ends its process"
    )
    assert check_release(tmp_path / "d3s") == []


@pytest.mark.long
def test_workers_that_die_again_and_again_end_the_run_in_one_line(tmp_path):
    plan = small_plan(60)
    deadly = Plan(plan.recipe, plan.foregrounds, Deadly(plan.backgrounds, plan.backgrounds.info))
    with pytest.raises(GenerationError, match=r"worker processes died 3 times in a row.*fewer --workers") as caught:
        generate(deadly, tmp_path / "d3s", How(workers=2))
    assert "\n" not in str(caught.value)


@pytest.mark.long
def test_lanes_in_processes_make_the_same_release_and_one_may_die(tiny_model, tmp_path):
    generate(redrawn_plan(tiny_model, 24), tmp_path / "one", How(6, 4, 1, ("cpu",)))
    killed = kill_a_child_when(lambda: any((tmp_path / "two").glob("data/*.parquet")))
    generate(redrawn_plan(tiny_model, 24), tmp_path / "two", How(6, 4, 2, ("cpu", "cpu")))
    assert killed
    assert apart(tmp_path / "one", tmp_path / "two") <= 1


@pytest.mark.long
def test_what_a_lane_cannot_load_is_said_by_the_run(tiny_model, tmp_path):
    with pytest.raises(ModelError, match=r"expected cpu, cuda, cuda:N"):
        generate(redrawn_plan(tiny_model), tmp_path / "d3s", How(devices=("cpu", "gpu")))
    assert not (tmp_path / "d3s" / ".work").exists()


def test_errors_cross_processes():
    import pickle

    error = pickle.loads(pickle.dumps(MissingExtra("ray", "ray")))
    assert "pip install '.[ray]'" in str(error)
