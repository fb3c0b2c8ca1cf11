"""A lane in an actor of a Ray cluster: what runs there, and how an engine sees it."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from d3s_dataset.errors import SourceError
from generation.lane import LaneDied, LocalLane, Spec
from generation.maker import Failed, Made
from generation.plan import Row


class RemoteLane:
    """What runs in an actor: a `LocalLane` whose composing and encoding run in the actor's own threads."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    def open(self, probe: Row) -> tuple[int | None, dict[str, str], str]:
        """Load the networks; return rows a batch, the environment, and why `probe` cannot be composed here, if so.

        Not done on creation: an actor whose constructor fails does not say why.
        """
        self._lane = LocalLane(self._spec, None, 1)
        guide = self._spec.maker.guide(probe)
        reason = guide.reason if isinstance(guide, Failed) else ""
        return self._lane.batch_size, self._lane.environment(), reason

    def make(self, rows: list[Row], redraw: bool) -> tuple[list[Made], dict[str, str]]:
        """Return what was made of each row, and the environment."""
        return self._lane.make(rows, redraw), self._lane.environment()

    def stop(self) -> None:
        """Begin nothing more."""
        self._lane.stop()


class RayLane:
    """An actor, as an engine sees it.

    Args:
        ray: the module.
        actor: handle of a `RemoteLane`.
        node: the node it was asked to be on.
        name: what to call it.
    """

    window = 3

    def __init__(self, ray: Any, actor: Any, node: str, name: str) -> None:
        self._ray, self._actor, self.node, self.name = ray, actor, node, name
        self.batch_size: int | None = None
        self._environment: dict[str, str] = {}

    def start(self, probe: Row) -> Any:
        """Have the networks loaded; return Ray's reference to the end of it."""
        self._opening = self._actor.open.remote(probe)
        return self._opening

    def opened(self, readable_here: bool) -> None:
        """Take note of what was loaded; raises what the node says is wrong, or LaneDied."""
        self.batch_size, self._environment, reason = self._get(self._opening)
        if reason and readable_here:
            raise SourceError(
                f"node {self.name} of the cluster cannot read the photos: {reason}: expected --foregrounds and "
                "--backgrounds under the same path on every node, or hf:REPO"
            )

    def make(self, rows: list[Row], redraw: bool) -> list[Made]:
        """Return what was made of each row."""
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
        """Return what beside the recipe decides the pixels."""
        return self._environment
