"""The training loop: random views, one optimiser step after the other. Torch half, imported when it runs."""

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np
import torch
from timm.optim import create_optimizer_v2  # pyright: ignore[reportPrivateImportUsage] - documented, no __all__
from torch import nn
from torch.nn import functional

from benchmark.inference.runner import autocast
from benchmark.training.batches import Batch, Batches
from benchmark.training.config import Settings
from benchmark.training.distributed import World
from benchmark.training.network import Parts, Whole, damped, keep_statistics
from benchmark.training.objectives.penalty import Penalty, sides
from benchmark.training.objectives.registry import OBJECTIVES
from benchmark.training.tracking import EVERY, Point
from d3s_dataset.errors import ModelError
from d3s_dataset.utils.cli import progress

_SMOOTHING = 0.1
_RISE = 0.2  # share of the steps in which the rate rises


class Training:
    """A network under training, and all that a checkpoint must hold.

    AdamW on one cycle (Smith and Topin, arXiv 1708.07120), label smoothing 0.1, random views (`augment`); the objective
    adds its penalty, and a network that is cut in parts also learns the background label from its background part.

    Args:
        model: what is trained, in place.
        penalty: what the objective adds, or None.
        batches: the images.
        settings: how, in a precision that is not `auto`.
        world: of which processes this is one.
        device: where.
    """

    def __init__(
        self,
        model: Whole | Parts,
        penalty: Penalty | None,
        batches: Batches,
        settings: Settings,
        world: World,
        device: torch.device,
    ) -> None:
        self._model = model.train().to(device)
        keep_statistics(model, every=settings.freeze_statistics)
        model.network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self._penalty = penalty.to(device) if penalty else None
        self._batches, self._settings, self._world, self._device = batches, settings, world, device
        self._encoder = _distributed(model.encoder, world, device)
        self._optimizer, self._schedule = self._optimisers()
        self._step = 0
        self._sums: dict[str, float] = {}
        self._recent: dict[str, list[float]] = {}  # since the last point: sum and steps
        # Of steps whose values are still on the device: reading one waits until all work there is done.
        self._waiting: list[dict[str, torch.Tensor]] = []
        self.lines: list[dict[str, Any]] = []  # of the log
        self.points: list[Point] = []  # of the trackers

    def run(
        self,
        keep: Callable[[], None],
        every: int,
        report: Callable[[str], None],
        log: Callable[[Point], None] = lambda point: None,
    ) -> None:
        """Train to the end.

        Args:
            keep: called after every epoch but the last, and every so many steps: time to write a checkpoint.
            every: steps.
            report: called with a line after every epoch.
            log: called with a point every `tracking.EVERY` steps and after every epoch.

        Raises:
            ModelError: a loss that is not finite.
        """
        steps, total = self._batches.steps, self._total
        with progress(total=total, label="train", unit="step") as bar:
            bar.update(self._step)
            while self._step < total:
                began = time.monotonic()
                with closing(self._batches.epoch(self._step % steps, self._device)) as batches:
                    for batch in batches:
                        self._waiting.append(self._learn(batch))
                        self._step += 1
                        bar.update()
                        if self._step % EVERY == 0 or self._step % steps == 0:
                            log(self._point())
                        if self._step % every == 0 and self._step % steps:
                            keep()
                report(self._end_epoch(time.monotonic() - began))
                for module in (self._model, *([self._penalty] if self._penalty else [])):
                    self._world.agree(module)
                if self._step < total:
                    keep()

    def state(self) -> dict[str, Any]:
        """Return all that going on needs. All processes must call it."""
        self._settle()
        parts = {"network": self._model, "penalty": self._penalty}
        return {
            **{name: module.state_dict() for name, module in parts.items() if module},
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "batches": self._batches.state(),
            "chance": self._world.collect(_chance(self._device)),
            "step": self._step,
            "sums": self._sums,
            "lines": self.lines,
            "recent": self._recent,
            "points": self.points,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Resume from a state."""
        self._model.load_state_dict(state["network"])
        if self._penalty:
            self._penalty.load_state_dict(state["penalty"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        self._batches.load(state["batches"])
        self._step, self._sums, self.lines = state["step"], state["sums"], state["lines"]
        self._recent, self.points = state["recent"], state["points"]
        _set_chance(self._device, state["chance"][self._world.rank])

    @property
    def _total(self) -> int:
        return self._settings.epochs * self._batches.steps

    def _optimisers(self) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        objective, rate = OBJECTIVES[self._settings.objective], self._settings.rate
        optimizer = create_optimizer_v2(
            self._model.network, opt="adamw", lr=rate, weight_decay=objective.decay, betas=objective.betas
        )
        beside = [*self._model.own(), *(self._penalty.joint() if self._penalty else ())]
        if beside:
            optimizer.add_param_group({"params": beside, "weight_decay": objective.decay})
        rise = _RISE if _RISE * self._total > 1 else 0.0  # torch divides by its steps less one
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, rate, total_steps=max(2, self._total), pct_start=rise, cycle_momentum=objective.cycles
        )
        return optimizer, schedule

    def _learn(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Take one optimiser step; return the loss in nats, what was right, and the penalty, on the device."""
        with autocast(self._device, self._settings.precision):
            encoded = self._encoder(batch.views.contiguous(memory_format=torch.channels_last))
        parts = encoded.float().tensor_split([batch.own])
        whole = torch.cat([self._world.gather(each) for each in parts if len(each)])
        loss, answer = self._loss(whole, batch)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        self._schedule.step()
        return answer

    def _loss(self, encoded: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        encoded = damped(encoded, self._model.partition, self._settings.background_gradient)
        foreground_logits, background_logits = self._model.heads(encoded)
        loss = functional.cross_entropy(foreground_logits, batch.foreground, label_smoothing=_SMOOTHING)
        answer = {"top1": _share_right(foreground_logits, batch.foreground)}
        if background_logits is not None:
            here = len(batch.background)  # photos of ImageNet have no background label
            loss = loss + functional.cross_entropy(
                background_logits[:here], batch.background, label_smoothing=_SMOOTHING
            )
            answer["background_top1"] = _share_right(background_logits[:here], batch.background)
        added, penalty = self._added(encoded, batch)
        loss = loss + added if added is not None else loss
        return loss, {"loss": loss.detach(), **answer, **penalty}

    def _added(self, encoded: torch.Tensor, batch: Batch) -> tuple[torch.Tensor | None, dict[str, torch.Tensor]]:
        """Return what the objective adds to the loss, if it does yet, and the penalty for the log."""
        done = self._step / self._total
        if self._penalty is None or self._model.partition is None or done < self._settings.warm_up:
            return None, {}
        here = len(batch.background)
        labels = batch.foreground[:here], batch.background, batch.sources
        both = sides(self._model.partition, encoded[:here], *labels)
        self._penalty.learn(both)
        added, measured = self._penalty(both, self._settings.weight, done)
        return added, {"penalty": measured.detach()}

    def _settle(self) -> None:
        """Add up the values of the steps since the last call, in their order, in one transfer from the device."""
        flat = [value.float().reshape(()) for values in self._waiting for value in values.values()]
        read = iter(torch.stack(flat).tolist() if flat else [])
        for values in self._waiting:
            self._add({name: next(read) for name in values})
        self._waiting = []

    def _add(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value / self._batches.steps
            total, steps = self._recent.get(name, (0.0, 0))
            self._recent[name] = [total + value, steps + 1]

    def _point(self) -> Point:
        self._settle()
        means = {name: total / steps for name, (total, steps) in self._recent.items()}
        rate = {"learning_rate": self._schedule.get_last_lr()[0], "epoch": self._step / self._batches.steps}
        self._recent = {}
        self.points.append({"step": self._step, "time": time.time(), "values": means | rate})
        return self.points[-1]

    def _end_epoch(self, seconds: float) -> str:
        epoch, sums = self._step // self._batches.steps, self._sums
        if not np.isfinite(sums["loss"]):
            raise ModelError(f"the loss of {self._settings.model} is not finite in epoch {epoch}: lower --lr")
        self.lines.append({"epoch": epoch, "step": self._step, **sums, "seconds": round(seconds, 1)})
        self._sums = {}
        more = "".join(f", {name} {sums[key]:.3f}" for name, key in _SHOWN.items() if key in sums)
        shown = f"loss {sums['loss']:.3f}, top-1 {sums['top1']:.3f}{more} on augmented, {seconds:.1f} s"
        return f"epoch {epoch}/{self._settings.epochs}: {shown}"


_SHOWN = {"background": "background_top1", "penalty": "penalty"}


def _share_right(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return (logits.argmax(1) == labels).float().mean()


def _distributed(encoder: nn.Module, world: World, device: torch.device) -> nn.Module:
    if world.size == 1:
        return encoder
    places = [device] if device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(encoder, device_ids=places)


def _chance(device: torch.device) -> dict[str, torch.Tensor]:
    """Return the state of torch's own generators, which dropout draws from."""
    states = {"cpu": torch.random.get_rng_state()}
    return states | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def _set_chance(device: torch.device, states: dict[str, torch.Tensor]) -> None:
    torch.random.set_rng_state(states["cpu"])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
