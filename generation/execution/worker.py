"""Device worker: one device and its CPU worker processes turn batches of rows into batches of records.

Several threads call `LocalLane.make` concurrently: while one uses the device, another's guides are composed and a
third's images are encoded in CPU workers, so that the device is never idle.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from generation.execution.cpu_pool import Workers
from generation.images.diffusion import Diffuser, ImageToImage
from generation.images.rows import Failed, Guide, Made, Maker, Redrawn
from generation.planning.plan import Row
from generation.recipe.recipe import NO_MODEL
from generation.screening.clip import ClipJudge
from generation.screening.features import FeatureJudge
from generation.screening.vlm import VlmJudge

NOT_FINITE = Failed("diffuse", "the generator gave values that are not finite")


class Stopped(Exception):
    """The run is stopping: this batch was not started."""


class LaneDied(Exception):
    """The worker died; its batches are rescheduled."""


@dataclass(frozen=True)
class Spec:
    """Configuration of a worker, picklable.

    Attributes:
        maker: makes guides and records.
        batch_size: rows per batch on the device; None chooses it automatically.
        compiled: compile the generator with torch.compile.
        prompts: number of distinct prompts in the plan.
        classes: name of each foreground label of the plan, for CLIP and the vision-language model.
    """

    maker: Maker
    batch_size: int | None = None
    compiled: bool = False
    prompts: int | None = None
    classes: tuple[tuple[int, str], ...] = ()

    def open(self, device: str | None) -> Diffuser:
        """Load the generator onto a device; raises ModelError as `ImageToImage`."""
        recipe = self.maker.recipe
        return ImageToImage(recipe.generator, device, batch_size=self.batch_size, compiled=self.compiled,
                            safety=recipe.screen.safety, prompts=self.prompts)  # fmt: skip


class LocalLane:
    """A device worker in this process (module docstring). `make` may be called by several threads.

    Args:
        spec: configuration.
        device: torch device; None is the first GPU if there is one, else the CPU.
        workers: CPU worker processes; 1 works in the calling thread.

    Raises:
        ModelError: the generator or a scorer cannot be loaded, or the device cannot be used.
    """

    window = 4  # concurrent batches: one composed, two at the device, one encoded

    def __init__(self, spec: Spec, device: str | None, workers: int) -> None:
        self.name, self._recipe = device or "this machine", spec.maker.recipe
        self.diffuser = spec.open(device) if spec.maker.recipe.diffuses else None
        self.judges = _judges(spec, self.diffuser) if self.diffuser else {}
        maker = replace(spec.maker, generator=self.diffuser.name) if self.diffuser else spec.maker
        # Initial rows per batch on the device.
        self.batch_size = self.diffuser.batch_size if self.diffuser else spec.batch_size
        if self.diffuser is None:
            self.window = workers + 1 if workers > 1 else 1
        self._workers = Workers(maker, workers if workers > 1 else 0)
        self._stopping = threading.Event()
        self._device = threading.BoundedSemaphore(2)  # one denoises, the other prepares or fetches its images

    def make(self, rows: Sequence[Row], redraw: bool) -> list[Made]:
        """Return the record or failure of every row, in order.

        Raises:
            Stopped: `stop` was called before this batch reached the device.
        """
        if not redraw or self.diffuser is None:
            self._go_on()
            return self._workers.call("guide_records", rows)
        guides = self._workers.call("guides", rows)
        with self._device:
            self._go_on()
            images = self._redraw(self.diffuser, rows, guides)
        return self._workers.call("records", rows, images)

    def stop(self) -> None:
        """Start no further batch; those on the device are finished."""
        self._stopping.set()

    def close(self) -> None:
        """End the worker processes."""
        self._workers.close()

    def environment(self) -> dict[str, str]:
        """Return the versions and settings outside the recipe that affect the pixels."""
        judged = {name: judge.name for name, judge in self.judges.items()}
        return {**(self.diffuser.environment() if self.diffuser else {}), **judged}

    def _go_on(self) -> None:
        if self._stopping.is_set():
            raise Stopped

    def _redraw(self, diffuser: Diffuser, rows: Sequence[Row], guides: Sequence[Any]) -> list[Redrawn | Failed]:
        found: list[Any] = list(guides)
        alike: dict[float, list[int]] = {}  # rows of one strength have the same denoising steps
        for i, guide in enumerate(guides):
            if isinstance(guide, Guide):
                alike.setdefault(self._recipe.strength_of(rows[i].severity), []).append(i)
        for strength, own in alike.items():
            inputs = [guides[i].pixels for i in own], [rows[i].prompt for i in own], [rows[i].seed for i in own]
            for i, each in zip(own, diffuser(*inputs, strength), strict=True):
                found[i] = replace(each, guide=_masked(guides[i])) if each else NOT_FINITE
        return self._judged(diffuser, rows, found) if self.judges else found

    def _judged(self, diffuser: Diffuser, rows: Sequence[Row], found: list[Any]) -> list[Any]:
        seen = [i for i, each in enumerate(found) if isinstance(each, Redrawn)]
        if not seen:
            return found
        labels = [rows[i].foreground for i in seen], [rows[i].background for i in seen]
        guides = [found[i].guide for i in seen]
        masks = [each and each.mask for each in guides]
        made_from = [each and each.pixels[..., :3] for each in guides]
        for judge in self.judges.values():
            scores = diffuser.patiently(judge, [found[i].pixels for i in seen], *labels, masks, made_from)
            for i, more in zip(seen, scores, strict=True):
                found[i] = replace(found[i], judged={**found[i].judged, **more})
        return found


def _masked(guide: Guide) -> Guide | None:
    """Return a guide that has a mask: without one nothing of it is needed again, and it need not travel."""
    return None if guide.mask is None else guide


def _judges(spec: Spec, diffuser: Diffuser) -> dict[str, Any]:
    """Return the recipe's scorers of redrawn images by their key in its section `[screen]`."""
    recipe = spec.maker.recipe
    labels = dict(spec.classes), [each.phrase for each in recipe.backgrounds]
    made = {
        "clip": lambda model: ClipJudge(model, *labels, diffuser.device, diffuser.dtype),
        "features": lambda model: FeatureJudge(model, diffuser.device, diffuser.dtype),
        "vlm": lambda model: VlmJudge(model, *labels, diffuser.device, diffuser.dtype),
    }
    models = {name: getattr(recipe.screen, name) for name in made}
    return {name: made[name](model) for name, model in models.items() if model != NO_MODEL}
