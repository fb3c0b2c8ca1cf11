"""One model on one set of images: from the cache, else computed into it; then its files.

Loads torch only to compute.
"""

import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.cache.blocks import Finished, Store
from benchmark.cache.cache import TRIAL_IMAGES, Cache, KnownModel, Options
from benchmark.data.decode import Images
from benchmark.data.distinct import distinct
from benchmark.data.imagenet import Folder
from benchmark.data.split import Split
from benchmark.metrics.accuracy import hits, mean
from benchmark.metrics.compute import result_of
from benchmark.models import metadata as known
from benchmark.schemas import result as results
from benchmark.schemas.predictions import BEST, Answers, Predictions, at
from d3s_dataset.utils.cli import cores, working

if TYPE_CHECKING:
    from concurrent.futures import Future

    from benchmark.models.classifier import Classifier

_PACKAGES = ("torch", "torchvision", "timm", "numpy", "pillow", "pyarrow")


@dataclass(frozen=True)
class Subject:
    """A model by name; loaded only if its facts are not cached or a prediction is missing.

    An object in memory is `loaded` already and has no cache: its code is in no file that could be compared.
    """

    name: str
    checkpoint: Path | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)
    cache: Cache | None = None  # None: nothing is read or stored
    devices: Sequence[str] | None = None  # torch names; the first also computes what loading a model needs
    loaded: "Classifier | None" = None
    coming: "Future[Classifier] | None" = None  # being loaded in another thread (`ahead`)

    @property
    def label(self) -> str:
        """The name, and the file of weights if it has one, for messages."""
        return f"{self.name} with {self.checkpoint.name}" if self.checkpoint else self.name

    @cached_property
    def facts(self) -> KnownModel:
        """The facts about the model that a result records."""
        return self.recalled or self._learned

    @cached_property
    def recalled(self) -> KnownModel | None:
        """The facts, if the cache has them and they still hold."""
        return known.recall(self.cache, self.name, self.checkpoint, self.kwargs) if self.cache else None

    @cached_property
    def classifier(self) -> "Classifier":
        """The model, loaded.

        Raises:
            ModelError: it cannot be.
        """
        return self.load() if self.coming is None else self.coming.result()

    def load(self) -> "Classifier":
        """Load the model; raises ModelError where it cannot be."""
        if self.loaded is not None:
            return self.loaded
        from benchmark.inference.devices import choose_devices
        from benchmark.models.registry import load

        with working(f"loading {self.label}"):
            return load(self.name, self.checkpoint, self.kwargs, choose_devices(self.devices)[0])

    @cached_property
    def _learned(self) -> KnownModel:
        loaded = self.classifier
        facts: dict[str, Any] = {"architecture": loaded.architecture, "tag": loaded.tag, "digest": loaded.digest}
        facts["left_out"] = loaded.left_out
        # As JSON gives it back: a first and a second call have the same key.
        made = KnownModel(files="", hub=[], transform=loaded.preprocessing, **facts)
        facts["transform"] = made.model_dump(mode="json")["transform"]
        if self.cache:
            config = dict(getattr(loaded.network, "pretrained_cfg", None) or {})
            known.remember(self.cache, self.name, self.checkpoint, self.kwargs, config=config, **facts)
        return KnownModel(files="", hub=[], **facts)

    def model(self, precision: str) -> results.Model:
        """Return the facts that a result records about the model in a precision."""
        said = self.facts.model_dump(exclude={"files", "hub"})
        file = self.checkpoint.name if self.checkpoint else None
        return results.Model(name=self.name, kwargs=self.kwargs, precision=precision, checkpoint=file, **said)


def answers(subject: Subject, source: Images, options: Options, started: float) -> tuple[Answers, Finished]:
    """Return a model's predictions on images, and their settings: from the cache if all of them are there.

    Rows of a split that hold the same image are run once.

    Raises:
        ModelError: the model cannot be loaded, or not be run.
        ReleaseError: an image that cannot be read.
    """
    images, place = distinct(source, subject.cache)
    store = store_of(subject, images, options)
    finished = store.finished(images.n)
    if finished is None:
        from benchmark.inference.predict import answer

        same = images.content(subject.cache) if subject.cache else None
        run = answer(subject.classifier, images, options, store, same)
        finished = Finished(run=run, environment=environment(), seconds=time.monotonic() - started)
        store.finish(images.n, finished)
    found = store.all(images.n)
    return (found if images is source else at(found, place)), finished


def store_of(subject: Subject, source: Images, options: Options) -> Store[Answers]:
    """Return where a model's predictions on images are kept: in its cache, in memory without one."""
    if subject.cache is None:
        return Store(Answers)
    trial = min(source.n, TRIAL_IMAGES) if options.precision == "auto" else None
    return subject.cache.predictions(
        **content(subject, source, subject.cache), precision=options.precision, compile=options.compile, trial=trial
    )


def content(subject: Subject, source: Images, cache: Cache) -> dict[str, Any]:
    """Return the cache key of a model's outputs on images, without the settings of the run."""
    return {
        "weights": subject.facts.digest,
        "architecture": subject.facts.architecture,
        "kwargs": sorted((key, repr(value)) for key, value in subject.kwargs.items()),
        "data": source.content(cache),
        "transform": subject.facts.transform,
    }


def measure_one(
    subject: Subject, split: Split, options: Options, started: float, imagenet: Folder | None = None
) -> tuple[results.Result, Predictions]:
    """Measure a model on a split.

    Args:
        subject: the model.
        split: the images.
        options: how it is run.
        started: `time.monotonic()` from which the result's seconds count.
        imagenet: photos to measure the same model on, with the same transform and precision.

    Returns:
        The result, and its predictions with their provenance.

    Raises:
        ModelError, ReleaseError, WriteError: as raised by what fails.
    """
    said, finished = answers(subject, split, options, started)
    whole = None
    if imagenet is not None:
        same = replace(options, precision=finished.run.precision)
        whole = _on_imagenet(answers(subject, imagenet, same, time.monotonic())[0], imagenet)
    facts = results.Provenance(
        model=subject.model(finished.run.precision), dataset=split.facts(), imagenet=whole, **dict(finished)
    )
    made = replace(split.predictions(said), provenance=facts.model_dump(mode="json"))
    return result_of(made, subject.name), made


def _on_imagenet(said: Answers, folder: Folder) -> results.ImageNet:
    one, five = (mean(hits(folder.foreground, said.prediction, best)) for best in (1, BEST))
    return results.ImageNet(n=folder.n, top1=one, top5=five)


def environment() -> dict[str, str]:
    """Return the machine and the versions that a result names; without torch, as for a plain function, no GPU."""
    torch = sys.modules.get("torch")
    device = torch.cuda.get_device_name() if torch and torch.cuda.is_available() else "cpu"
    facts = {"python": platform.python_version(), "platform": platform.platform(), "device": device}
    return facts | {"cores": str(cores())} | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def process_start() -> float:
    """Return `time.monotonic()` at the start of this process (Linux), or now if the system does not give it."""
    now = time.monotonic()
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return now - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, AttributeError):
        return now
