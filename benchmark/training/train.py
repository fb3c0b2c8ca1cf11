"""One training from a release's split to a model's folder; a killed one is resumed.

Needs no torch before it starts.
"""

import json
import secrets
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.data.imagenet import Folder
from benchmark.data.pairing import Pairing
from benchmark.data.split import Split
from benchmark.models.training_record import TENSORBOARD, record_of
from benchmark.schemas.result import make_folder
from benchmark.schemas.text import codes
from benchmark.training.config import Settings
from benchmark.training.objectives.registry import OBJECTIVES, OPTIONS, check_paired
from benchmark.training.tracking import Point, Tracked, tracked
from d3s_dataset.errors import CheckpointError, ModelError, ReleaseError, one_line
from d3s_dataset.identity import digest, file_digest
from d3s_dataset.taxonomy import classes

if TYPE_CHECKING:
    from benchmark.training.batches import Batches
    from benchmark.training.distributed import World
    from benchmark.training.network import Parts, Whole
    from benchmark.training.objectives.penalty import Penalty

_MARGIN = (8, 7)  # sides of a decoded image and of a view


@dataclass(frozen=True)
class Images:
    """Training images.

    Attributes:
        split: images of a release.
        photos: an ImageNet folder, half of each batch; None for none.
        aligned_only: classes of its groups are seen on their own background only; None for every image.
    """

    split: Split
    photos: Folder | None = None
    aligned_only: Pairing | None = None

    def rows(self) -> np.ndarray:
        """Return the rows of the split that are used, (n,) int64.

        Raises:
            ReleaseError: they show one class only, or one background only.
        """
        foreground, background = self.split.foreground, self.split.column("background")
        kept = np.ones(self.split.n, dtype=bool)
        if self.aligned_only:
            kept = ~self.aligned_only.conflicting(foreground, background, self.split.manifest.backgrounds)
        for name, labels in (("foreground", foreground), ("background", background)):
            if len(np.unique(labels[kept])) < 2:
                raise ReleaseError(f"the images to train on have one {name} label only: expected two or more")
        return np.flatnonzero(kept)

    def sources(self) -> np.ndarray:
        """Return the codes of the foreground and background photo of each image, (2, n) int64.

        An image without a photo has a code of its own below 0.
        """
        found = np.stack([codes(self.split.column(f"{name}_source")) for name in ("foreground", "background")])
        return np.where(found < 0, -1 - np.arange(self.split.n), found)

    def record(self) -> dict[str, Any]:
        """Return the facts about the images that `training.json` records."""
        return {
            "dataset": self.split.facts().model_dump(mode="json"),
            "imagenet": len(self.photos.paths) if self.photos else None,
            "aligned_only": self.aligned_only.record() if self.aligned_only else None,
        }


def train(
    images: Images,
    settings: Settings,
    out: Path,
    checkpoint: Path | None = None,
    every: int = 500,
    report: Callable[[str], None] = lambda line: None,
    *,
    tensorboard: bool = False,
    wandb: bool = False,
) -> None:
    """Train a model and save it; resume an unfinished training of the same settings in `out`.

    Library-wide random state is left as it was; the same seed gives the same weights on a CPU in the same precision,
    which `training.json` records.

    Args:
        images: the training images.
        settings: its hyperparameters.
        out: folder of the model; one of an earlier training is replaced at the end.
        checkpoint: weights to start from.
        every: steps between checkpoints inside an epoch.
        report: called with a line after every epoch.
        tensorboard: write the curves to `out/tensorboard`.
        wandb: send them to Weights & Biases, or, offline, to its own folder.

    Raises:
        MissingExtra: TensorBoard or Weights & Biases is not installed.
        ModelError: unknown model, one whose features cannot be split, unusable `out`, or a loss that is not finite.
        CheckpointError: weights of another architecture, or with another split of features.
        ReleaseError: images of one label only, or an objective that compares images of one photo where none has two.
    """
    import torch

    from benchmark.inference.devices import trains_in_bf16
    from benchmark.models.weights import check_folder, save
    from benchmark.training import checkpoint as checkpoints
    from benchmark.training.distributed import joined
    from benchmark.training.loop import Training

    rows = images.rows()
    check_paired(settings.objective, *images.sources()[:, rows])
    check_folder(out)
    make_folder(out.parent)
    start = _start(checkpoint)
    with joined() as (world, device), torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        if settings.precision == "auto":
            settings = replace(settings, precision="bf16" if trains_in_bf16(device) else "fp32")
        record = {**asdict(settings), "start": start, **images.record()}
        photos = digest([str(key) for key in images.photos.key]) if images.photos else None
        facts = {**record, "start": start and start["sha256"], "photos": photos, "processes": world.size}
        found = checkpoints.read(out, facts)
        torch.manual_seed(settings.seed)
        model, penalty = _model(settings, checkpoint, len(images.split.manifest.backgrounds))
        if world.rank:
            torch.manual_seed(settings.seed + world.rank)  # dropout of its own
        run, points = (found["run"], found["points"]) if found else (secrets.token_hex(4), [])
        shown = Tracked(out.name, run, record, points)
        wanted = {"tensorboard": tensorboard and world.leads, "wandb": wandb and world.leads}
        with tracked(out, shown, **wanted) as trackers:
            training = Training(
                model, penalty, _batches(images, rows, settings, out.parent, world), settings, world, device
            )
            if found:
                training.load(found)
                report(f"resumed after step {found['step']}")

            def keep() -> None:
                state = training.state()
                if world.leads:
                    checkpoints.write(out, facts, state | {"run": run})
                    checkpoints.write_log(out, training.lines)

            def log(point: Point) -> None:
                for each in trackers:
                    each.log(point)

            try:
                training.run(keep, every, report, log)
            except ModelError:
                checkpoints.forget(out)  # going on from there would end the same way
                raise

        def save_log(folder: Path) -> None:
            model.save(folder)
            checkpoints.write_log(folder, training.lines)
            if tensorboard:
                shutil.copytree(out / TENSORBOARD, folder / TENSORBOARD)

        if world.leads:
            save(model.network, out, record, save_log, settings.kwargs)


def _start(checkpoint: Path | None) -> dict[str, Any] | None:
    """Return the record of the initial weights for `training.json`: the file, and the record of its own training.

    Raises:
        CheckpointError: they cannot be read, or the record next to them.
    """
    if checkpoint is None or not checkpoint.is_file():  # refused where the weights are read
        return None
    own = record_of(checkpoint)
    try:
        training = json.loads(own.read_bytes()) if own.is_file() else None
        return {"file": checkpoint.name, "sha256": file_digest(checkpoint), "training": training}
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"cannot read {checkpoint} and the record of its training: {one_line(error)}") from None


def _model(settings: Settings, checkpoint: Path | None, backgrounds: int) -> tuple["Whole | Parts", "Penalty | None"]:
    from benchmark.training.network import Parts, Whole, check_checkpoint, create, divide, freeze

    network = create(settings.model, settings.size, checkpoint, settings.kwargs)
    freeze(settings.model, network, settings.freeze)
    make = OBJECTIVES[settings.objective].make
    if make is None:
        return Whole(network), None
    divided = divide(settings.model, network, settings.size, settings.foreground_features)
    if checkpoint:
        check_checkpoint(checkpoint, divided)
    options = {name: getattr(settings, name) for name in OPTIONS if getattr(settings, name) is not None}
    model = Parts(network, divided, backgrounds, checkpoint)
    return model, make(divided, (len(classes()), backgrounds), settings.seed, **options)


def _batches(images: Images, rows: np.ndarray, settings: Settings, folder: Path, world: "World") -> "Batches":
    import torch

    from benchmark.training.batches import Batches, decode_once

    split, side = images.split, -(-settings.size * _MARGIN[0] // _MARGIN[1])
    return Batches(
        decode_once(split, side, folder, world),
        torch.from_numpy(split.foreground.copy()),
        torch.from_numpy(split.column("background").copy()),
        torch.from_numpy(images.sources()),
        torch.from_numpy(rows),
        images.photos,
        batch_size=settings.batch_size,
        per_photo=settings.per_photo,
        size=settings.size,
        seed=settings.seed,
        world=world,
    )
