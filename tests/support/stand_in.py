"""A stand-in for a GPU: its calls take a fixed time in which no processor works, and it records when it was busy."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from d3s_dataset.utils.cli import cores
from generation.execution.options import How
from generation.execution.scheduler import local_engine
from generation.execution.worker import Spec
from generation.images.rows import Maker, Redrawn
from generation.planning.plan import Plan
from generation.recipe.recipe import load_recipe
from generation.release import build
from generation.run import open_sources

BATCH = 8


class StandIn:
    """A `Diffuser` that returns the guides after `seconds` per batch; one batch at a time, as on a device."""

    name, dtype = "stand-in", None

    def __init__(self, seconds: float, batch_size: int, device: str, log: Path) -> None:
        self.seconds, self.batch_size, self.device, self._log = seconds, batch_size, device, log
        self._turn = threading.Lock()

    def __call__(self, guides, prompts, seeds, strength=None):
        with self._turn:
            start = time.monotonic()
            time.sleep(self.seconds)  # without the interpreter's lock, as a wait for a GPU
            stop = time.monotonic()
        with self._log.open("a") as log:
            log.write(f"{start} {stop}\n")
        return [Redrawn(each[..., :3], {}) for each in guides]

    def patiently(self, judge, *columns):
        return judge(*columns)

    def environment(self):
        return {"device": "stand-in"}


@dataclass(frozen=True)
class StandInSpec(Spec):
    """Workers whose device is a stand-in.

    Attributes:
        seconds: of each call.
        log: folder of the records, one file per device.
    """

    seconds: float = 0.0
    log: Path = Path()

    def open(self, device):
        return StandIn(self.seconds, self.batch_size, device, self.log / f"{device}.txt")


def spans(log: Path) -> list[list[tuple[float, float]]]:
    """Return when each device was busy: (start, stop) in seconds of one clock."""
    return [
        [(float(start), float(stop)) for start, stop in (line.split() for line in path.read_text().splitlines())]
        for path in sorted(log.glob("*.txt"))
    ]


def busy_share(devices: list[list[tuple[float, float]]], whole: bool = False) -> float:
    """Return the mean share of the time that devices were busy.

    Args:
        devices: their spans.
        whole: from the first call of any to the last, in place of while all have work: from the moment at which each
            has begun to the first at which one has made its last call.
    """
    begin = (min if whole else max)(spans[0][0] for spans in devices)
    end = (max if whole else min)(spans[-1][1] for spans in devices)
    clipped = ((max(start, begin), min(stop, end)) for spans in devices for start, stop in spans)
    return sum(max(0.0, stop - start) for start, stop in clipped) / ((end - begin) * len(devices))


def plan_of(rows: int, size: int, photos: Path | None = None, **generator) -> Plan:
    """The drawn sample, or photos of `draw_photos` under the recipe `paper`; a model of no name redraws them."""
    recipe = load_recipe("paper" if photos else "sample").changed(rows=rows, clip="none" if photos else None)
    changes = {"guide": {"size": size}, "generator": {"model": "stand-in", **generator}, "controls": {"configs": ()}}
    recipe = recipe.model_copy(update={name: getattr(recipe, name).model_copy(update=each)
                                       for name, each in changes.items()})  # fmt: skip
    folders = (str(photos / role) if photos else None for role in ("foregrounds", "backgrounds"))
    return Plan(recipe, *open_sources(recipe, *folders))


def make_on(plan, devices, seconds, folder, monkeypatch):
    """Make a release on stand-in devices, in processes of their own as GPUs have; return their busy spans."""
    log = folder / "log"
    log.mkdir(parents=True)
    spec = StandInSpec(Maker(plan.recipe, plan.foregrounds, plan.backgrounds), BATCH, seconds=seconds, log=log)
    names = [f"stand-in:{i}" for i in range(devices)]
    monkeypatch.setattr(build, "open_engine", lambda plan, how: local_engine(spec, names, how.workers))
    build.generate(plan, folder / "d3s", How(shard_rows=3 * BATCH, workers=cores()))
    return spans(log)


def cpu_seconds(plan: Plan, folder: Path, monkeypatch) -> float:
    """Return the wall time per batch of the work around a device that takes no time."""
    (calls,) = make_on(plan, 1, 0.0, folder, monkeypatch)
    return (calls[-1][1] - calls[3][1]) / (len(calls) - 4)
