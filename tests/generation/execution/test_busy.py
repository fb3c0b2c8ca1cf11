"""A device is not idle while rows are left: `tests/bench/test_busy.py` measures it, this is what it rests on."""

import threading
from dataclasses import dataclass

from generation.execution.scheduler import Batch, local_engine
from generation.execution.worker import Spec
from generation.images.rows import Maker, Redrawn
from tests.support.stand_in import BATCH, StandIn, plan_of

CALLS = 6


class Progress:
    """How many batches were composed and encoded; a lane's threads wait for both."""

    def __init__(self):
        self.changed, self.counts = threading.Condition(), {"guides": 0, "records": 0}

    def step(self, stage):
        with self.changed:
            self.counts[stage] += 1
            self.changed.notify_all()

    def wait(self, **least):
        with self.changed:
            return self.changed.wait_for(lambda: all(self.counts[stage] >= n for stage, n in least.items()), timeout=20)


PROGRESS = Progress()


class Counting(Maker):
    """The real work of a lane's CPU side, counted."""

    def guides(self, rows):
        made = super().guides(rows)
        PROGRESS.step("guides")
        return made

    def records(self, rows, images):
        made = super().records(rows, images)
        PROGRESS.step("records")
        return made


class Waiting(StandIn):
    """A device that ends a call only when the next batch is composed and all before it are encoded."""

    def __init__(self):
        self.calls, self.late, self.batch_size, self._turn = 0, [], BATCH, threading.Lock()

    def __call__(self, guides, prompts, seeds, strength=None):
        with self._turn:
            number, self.calls = self.calls, self.calls + 1
            if not PROGRESS.wait(guides=min(number + 2, CALLS), records=number):
                self.late.append(number)
        return [Redrawn(each[..., :3], {}) for each in guides]


@dataclass(frozen=True)
class WaitingSpec(Spec):
    device: Waiting | None = None

    def open(self, device):
        return self.device


def test_while_a_device_works_the_next_batch_is_composed_and_the_last_encoded():
    plan, device = plan_of(CALLS * BATCH, 64), Waiting()
    rows = list(plan)
    spec = WaitingSpec(Counting(plan.recipe, plan.foregrounds, plan.backgrounds), BATCH, device=device)
    parts = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    with local_engine(spec, ["stand-in"], 1) as engine:
        made = [
            each for _, _, made in engine.make(Batch(part, [None] * BATCH, True) for part in parts) for each in made
        ]
    assert device.late == []
    assert device.calls == CALLS
    assert {each["key"] for each in made} == {row.key for row in rows}
