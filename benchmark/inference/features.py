"""Pooled features of a model on one split: the input of its head for each image, with the labels.

They are computed in fp32 and kept with the predictions (`cache`), so a second call loads no model. Loads torch only
to compute.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from benchmark.cache.blocks import Finished, Pooled, Span, Store
from benchmark.cache.cache import Options
from benchmark.data.decode import Images
from benchmark.data.distinct import distinct
from benchmark.data.split import Split
from benchmark.inference.evaluate import Subject, content, environment
from benchmark.models import training_record as partitions
from benchmark.models.registry import folder_of, source_of
from benchmark.models.training_record import Partition
from benchmark.schemas.result import Dataset, Model, Run
from benchmark.schemas.text import codes
from d3s_dataset.errors import ModelError

if TYPE_CHECKING:
    import torch

HEAD = "head"  # the name under which a store of features keeps it


@dataclass(frozen=True, eq=False)
class Head:
    """A model's own head: (k, d) weight and (k,) bias."""

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return the (m, k) logits of (m, d) features."""
        return features @ self.weight.T + self.bias


@dataclass(frozen=True, eq=False)
class Features:
    """A model's (n, d) float32 features of n images, their labels, and where all of it comes from.

    `foreground_source` and `background_source` are codes of photos, (n,) int, -1 where an image uses none. `head` is
    None where the model's own is not linear in its pooled features; `partition` where they are not split.
    """

    values: np.ndarray
    key: np.ndarray
    foreground: np.ndarray
    background: np.ndarray
    foreground_source: np.ndarray
    background_source: np.ndarray
    head: Head | None
    partition: Partition | None
    model: Model
    dataset: Dataset
    made: Finished


def features_of(subject: Subject, split: Split, options: Options) -> Features:
    """Return the pooled features of a split: from the cache where all of them are there.

    Args:
        subject: the model.
        split: the images.
        options: devices, and whether to compile; the precision is always fp32.

    Raises:
        ModelError: a model that cannot be loaded, has no pooled features, or whose record of a split is damaged.
        ReleaseError: an image that cannot be read.
    """
    partition = _partition(subject.name)
    options = replace(options, precision="fp32")
    images, place = distinct(split, subject.cache)
    store = store_of(subject, images, options)
    made = store.finished(images.n)
    if made is None or not has_head(store):
        started = time.monotonic()
        run = compute(subject, images, options, store)
        made = Finished(run=run, environment=environment(), seconds=time.monotonic() - started)
        store.finish(images.n, made)
    values = store.all(images.n).values
    values = values if images is split else values[place]
    if partition is not None and partition.size != values.shape[1]:
        raise ModelError(
            f"{subject.name} gives {values.shape[1]} features, its {partitions.FILE} splits {partition.size}"
        )
    head = store.kept(HEAD, "weight", "bias")
    return Features(
        values,
        split.key,
        split.foreground,
        split.column("background"),
        codes(split.column("foreground_source")),
        codes(split.column("background_source")),
        Head(**head) if head and len(head["bias"]) else None,
        partition,
        subject.model("fp32"),
        split.facts(),
        made,
    )


def store_of(subject: Subject, source: Images, options: Options) -> Store[Pooled]:
    """Return where a model's pooled features of images are kept: in its cache, in memory without one."""
    if subject.cache is None:
        return Store(Pooled)
    return subject.cache.features(**content(subject, source, subject.cache), compile=options.compile)


def has_head(store: Store[Pooled]) -> bool:
    """Return whether the model's own head, empty where it is not linear, is kept with the features."""
    return store.kept(HEAD, "weight", "bias") is not None


def _partition(name: str) -> Partition | None:
    folder = folder_of(name)
    return partitions.read(folder) if folder and source_of(name).records else None


def compute(
    subject: Subject, source: Images, options: Options, store: Store[Pooled], wanted: Sequence[Span] | None = None
) -> Run:
    """Compute the pooled features that a store lacks, and the model's head.

    Args:
        subject: the model.
        source: the images.
        options: devices, and whether to compile; the precision is `fp32`.
        store: where they go.
        wanted: the blocks to compute; None: all.

    Raises:
        ModelError, ReleaseError: as `features_of`.
    """
    from benchmark.inference.predict import fill
    from benchmark.models.backbone import pooled

    classifier = subject.classifier
    network = pooled(subject.name, classifier.network, classifier.transform)
    store.keep(HEAD, weight=network.weight, bias=network.bias)

    def reduce(rows: slice, values: "torch.Tensor") -> Pooled:
        if not values.isfinite().all():
            raise ModelError(
                f"{subject.name} gave features that are not finite, among images {rows.start}..{rows.stop - 1}"
            )
        return Pooled(values.cpu().numpy())

    return fill(replace(classifier, network=network), source, options, store, reduce, wanted=wanted)
