"""Workers on a Ray cluster: one actor per GPU, or per core where nothing is redrawn.

Ray resolves the address: `RAY_ADDRESS`, else a cluster that was started on this machine, else a new one on this machine
alone. Nodes need this project installed, and the photos and local models under the same paths. Records are returned
through Ray; only this process writes the release, so the nodes need no access to its folder. New nodes are used; lost
nodes are dropped, and their batches are rescheduled.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from d3s_dataset.errors import D3SError, GenerationError, SourceError
from d3s_dataset.utils.cli import note
from d3s_dataset.utils.processes import connect, keep_freed_memory
from generation.execution.scheduler import Engine, Lanes
from generation.execution.worker import LaneDied, LocalLane, Spec
from generation.images.rows import Failed, Made
from generation.planning.plan import Row

_LOOK = 10.0  # seconds between queries of the node list
_SAY = 30.0  # seconds of waiting after which the reason is printed


class RemoteLane:
    """Ray actor around a `LocalLane` that composes and encodes in the actor's own threads."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    def open(self, probe: Row) -> tuple[int | None, dict[str, str], str]:
        """Load the models; return rows per batch, the environment, and why `probe` cannot be composed here (or "").

        Not done in the constructor: an actor whose constructor fails does not report the reason.
        """
        keep_freed_memory()
        self._lane = LocalLane(self._spec, None, 1)
        guide = self._spec.maker.guide(probe)
        reason = guide.reason if isinstance(guide, Failed) else ""
        return self._lane.batch_size, self._lane.environment(), reason

    def make(self, rows: list[Row], redraw: bool) -> tuple[list[Made], dict[str, str]]:
        """Return the record or failure of each row, and the environment."""
        return self._lane.make(rows, redraw), self._lane.environment()

    def stop(self) -> None:
        """Begin nothing more."""
        self._lane.stop()


class RayLane:
    """A `RemoteLane` actor with the interface that an engine uses.

    Args:
        ray: the module.
        actor: handle of a `RemoteLane`.
        node: id of the node that it is scheduled on.
        name: display name.
    """

    window = 3

    def __init__(self, ray: Any, actor: Any, node: str, name: str) -> None:
        self._ray, self._actor, self.node, self.name = ray, actor, node, name
        self.batch_size: int | None = None
        self._environment: dict[str, str] = {}

    def start(self, probe: Row) -> Any:
        """Start loading the models; return Ray's reference to the result."""
        self._opening = self._actor.open.remote(probe)
        return self._opening

    def opened(self, readable_here: bool) -> None:
        """Store the result of loading; raises the node's error, or LaneDied."""
        self.batch_size, self._environment, reason = self._get(self._opening)
        if reason and readable_here:
            raise SourceError(
                f"node {self.name} of the cluster cannot read the photos: {reason}: expected --foregrounds and "
                "--backgrounds under the same path on every node, or hf:REPO"
            )

    def make(self, rows: list[Row], redraw: bool) -> list[Made]:
        """Return the record or failure of each row."""
        made, self._environment = self._get(self._actor.make.remote(rows, redraw))
        return made

    def _get(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference)
        except errors.RayTaskError as error:
            raise error.cause from None
        except errors.RayError:
            raise LaneDied(self.name) from None  # its process or its node is gone

    def stop(self) -> None:
        """Begin nothing more."""
        self._quietly(lambda: self._actor.stop.remote())

    def close(self) -> None:
        """End the actor."""
        self._quietly(lambda: self._ray.kill(self._actor))

    def _quietly(self, do: Callable[[], object]) -> None:
        with suppress(self._ray.exceptions.RayError):  # it may be gone already
            do()

    def environment(self) -> dict[str, str]:
        """Return the versions and settings outside the recipe that affect the pixels."""
        return self._environment


def ray_engine(spec: Spec, probe: Row) -> "RayEngine":
    """Return an engine over the Ray cluster.

    Args:
        spec: configuration of the workers.
        probe: a row whose guide every node must be able to compose.

    Raises:
        MissingExtra: Ray is not installed.
        GenerationError: the cluster cannot be reached, or has no free resources.
        ModelError: a model cannot be loaded.
        SourceError: a node cannot read the photos.
    """
    ray = connect(GenerationError)
    return RayEngine(ray, spec, probe)


class RayEngine(Engine):
    """Engine whose workers are actors of a Ray cluster; see `ray_engine`."""

    patience = 60

    def __init__(self, ray: Any, spec: Spec, probe: Row) -> None:
        super().__init__([])
        self._ray, self._spec, self._probe = ray, spec, probe
        self._remote = ray.remote(RemoteLane)
        self._given = ray.put(spec)
        self._readable = not isinstance(spec.maker.guide(probe), Failed)
        self._looked = -_LOOK
        self._opening: dict[Any, RayLane] = {}
        try:
            self._wait_for_lanes()
        except D3SError:
            self.__exit__()
            raise

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._ray.shutdown()

    def grow(self) -> None:
        """Add workers that have loaded their models, and start workers on nodes without any; does not block."""
        if self.stopped:
            return
        if time.monotonic() - self._looked >= _LOOK:
            self._looked = time.monotonic()
            self._start_lanes([node for node in self._ray.nodes() if node["Alive"]])
        if self._opening:
            ready, _ = self._ray.wait(list(self._opening), num_returns=len(self._opening), timeout=0)
            for reference in ready:
                lane = self._opening.pop(reference)
                with suppress(LaneDied):
                    lane.opened(self._readable)
                    self.lanes.append(lane)

    def _start_lanes(self, nodes: list[dict[str, Any]]) -> None:
        alive = {node["NodeID"] for node in nodes}
        self._opening = {ref: lane for ref, lane in self._opening.items() if lane.node in alive}
        taken = {lane.node for lane in (*self.lanes, *self._opening.values()) if isinstance(lane, RayLane)}
        for node in nodes:
            if node["NodeID"] not in taken:
                for options in _places(self._spec.maker.recipe.diffuses, node["Resources"], nodes):
                    lane = self._launch(node, options)
                    self._opening[lane.start(self._probe)] = lane

    def _wait_for_lanes(self) -> None:
        """Wait for workers as long as some are starting; report when a busy cluster has no room for them yet."""
        since = said = time.monotonic()
        while not self.lanes and not self.stopped:
            self.grow()
            now = time.monotonic()
            if self._opening and now - said > _SAY:
                said = now
                note(f"waiting for {len(self._opening)} workers of the cluster: loading, or no free GPU or core")
            if self._opening:
                since = now
            elif now - since > self.patience:
                raise GenerationError(
                    "--engine ray: the cluster has no node that can make images: finished images are kept; to resume, "
                    "type the same command again when it has one"
                )
            time.sleep(0.2)

    def _launch(self, node: dict[str, Any], options: dict[str, Any]) -> RayLane:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        more = {"max_concurrency": RayLane.window + 1, "scheduling_strategy": there, **options}
        actor = self._remote.options(**more).remote(self._given)
        name = f"{node['NodeManagerHostname']} {node['NodeID'][:6]}"
        return RayLane(self._ray, actor, node["NodeID"], name)

    def lost(self, lane: Lanes) -> None:
        """Remove a worker that died; its node, if alive, gets a new one at the next query."""
        super().lost(lane)
        if isinstance(lane, RayLane):
            gone = [each for each in self.lanes if isinstance(each, RayLane) and each.node == lane.node]
            for each in gone:  # the node's places are counted as a whole
                super().lost(each)


def _places(diffuses: bool, has: dict[str, float], nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the resources of each worker on a node: one GPU; without GPUs in the cluster, cores."""
    gpus, cores = int(has.get("GPU", 0)), int(has.get("CPU", 0))
    if not diffuses:
        return [{"num_cpus": 1}] * cores
    if any(node["Resources"].get("GPU") for node in nodes):
        return [{"num_gpus": 1, "num_cpus": min(1, cores)}] * gpus
    return [{"num_cpus": cores}] if cores else []
