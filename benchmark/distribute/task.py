"""A task: the predictions, or the pooled features, of one model on one split. Loads torch only to compute."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from benchmark.cache.blocks import Span, Store, spans
from benchmark.cache.cache import Options
from benchmark.data.decode import Images
from benchmark.data.distinct import distinct
from benchmark.data.split import Split
from benchmark.inference import evaluate, features
from benchmark.inference.evaluate import Subject, environment
from benchmark.schemas.result import Run
from d3s_dataset.errors import ModelError


@dataclass(frozen=True)
class Task:
    """One model on one split: `images` are its distinct ones; `features`: pooled features in place of predictions."""

    subject: Subject
    split: Split
    images: Images
    options: Options
    features: bool = False

    @cached_property
    def store(self) -> Store[Any]:
        """Where the blocks go; loads the model if its facts are not cached."""
        kind = features if self.features else evaluate
        return kind.store_of(self.subject, self.images, self.options)

    @property
    def missing(self) -> list[Span]:
        """The blocks that are not there now: others may write them, so it is looked up each time."""
        return self.store.missing(self.images.n)

    @property
    def decided(self) -> bool:
        """True if settings are known before the first block; `auto` alone compares precisions on it."""
        return self.features or self.options.precision != "auto" or self.store.run is not None

    def fresh(self, other: "Task | None" = None) -> "Task":
        """Return the same task, with the network of another one of the same model, else with none in memory."""
        if other is not None and other.subject == self.subject:
            return replace(self, subject=other.subject)
        return replace(self, subject=replace(self.subject))

    def finished(self) -> bool:
        """Return whether a run on one machine would find all of it in the cache."""
        whole = self.store.finished(self.images.n) is not None
        return whole and (not self.features or features.has_head(self.store))

    def begun(self, wanted: Sequence[Span]) -> list[Span]:
        """Return the blocks to run for some that are wanted: before the first of a task, the one that is tried.

        `auto` compares precisions on the first block of the split, on whichever machine.
        """
        first = spans(self.images.n)[0]
        return [*([] if self.decided or first in wanted else [first]), *wanted]

    def compute(self, wanted: Sequence[Span], store: Store[Any] | None = None, of: int | None = None) -> Run:
        """Run the model on those of some blocks that a store lacks.

        Nothing is compiled that was not compiled before: whether that pays depends on the machine, and the last bits on
        it.

        Args:
            wanted: the blocks.
            store: where they go; None: the task's own.
            of: the number of parts that the work is divided into, for what a block says about itself.

        Raises:
            ModelError, ReleaseError, WriteError: as raised by what fails.
        """
        store = store or self.store
        began, loaded = time.monotonic(), self.subject.classifier
        store.sign(environment(), began, of)  # with torch loaded, so that it names the GPU
        options = replace(self.options, compile=False)
        if self.features:
            return features.compute(self.subject, self.images, options, store, wanted)
        from benchmark.inference.predict import answer

        same = self.images.content(self.subject.cache) if self.subject.cache else None
        return answer(loaded, self.images, options, store, same, wanted)


def tasks_of(subjects: Sequence[Subject], splits: Sequence[Split], options: Options, features: bool) -> list[Task]:
    """Return a task per model and split, those of a model one after the other.

    Raises:
        ModelError: a model whose predictions are never cached, so that parts could not be brought together.
    """
    options = replace(options, precision="fp32") if features else options
    for each in subjects:
        if each.cache is None:
            raise ModelError(
                f"{each.name} is code, whose predictions are never cached, so it runs on one machine: leave out "
                "--part, --finish, --features and --engine"
            )
    found = [(split, distinct(split, subjects[0].cache)[0]) for split in splits]
    return [Task(each, split, images, options, features) for each in subjects for split, images in found]
