"""Fine-tuning a real backbone on guides of shared photos, and what is then read from photos that it never saw.

A division of the 200 foreground photos: 140 to fine-tune on, 60 to measure on. Two photos of each background are in
the fine-tuning (`seen`), the third is not (`unseen`). Readers are fitted on three quarters of the 60 photos, on the
seen background photos, and tested on the other quarter, each in turn.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from benchmark.probing import probes
from benchmark.probing.folds import Fold
from benchmark.probing.leakage import Asked, nulls, read_all
from benchmark.probing.permutation import owners, permuted
from benchmark.probing.retention import same_photo
from benchmark.training import adapter
from benchmark.training.augment import augment
from benchmark.training.batches import Batches
from benchmark.training.config import NECK, Settings
from benchmark.training.distributed import World
from benchmark.training.loop import Training
from benchmark.training.network import Parts, Whole, create, divide, freeze, normalise
from benchmark.training.objectives.registry import OBJECTIVES
from generation.images.compose import compose
from tests.support.eraser_study import SUFFIXES, Study
from tests.support.eraser_study import divide as draw

CHECKPOINT = "mobilenetv2_100.safetensors"
SIZE, SIDE, OBJECT = 128, 147, 0.6  # of a view, of a guide (in pixels), of the object in it
TRAIN, TEST, FOLDS = 140, 60, 4
FROZEN = 5  # the stem and four of seven stages: an eighth of the weights
VIEWS = 2  # of each guide
READERS = ("linear", "lda", "knn", "kernel", "mlp")
NULLS = 20
KINDS = ("foregrounds", "backgrounds")


@dataclass(frozen=True)
class Guides:
    """(200, 30, 3, SIDE, SIDE) uint8 guides of each foreground on each background photo, and both labels."""

    pixels: torch.Tensor
    foreground: np.ndarray
    background: np.ndarray


def guides(shared: Path) -> Guides:
    """Compose the guides at their small size; each pair of photos has its own box, drawn by their numbers."""
    paths = [sorted(each for each in (shared / name).glob("*/*") if each.suffix.lower() in SUFFIXES) for name in KINDS]
    foregrounds, backgrounds = ([Image.open(path).convert("RGB") for path in each] for each in paths)
    side = round(OBJECT * SIDE)
    pixels = np.empty((len(foregrounds), len(backgrounds), 3, SIDE, SIDE), dtype=np.uint8)
    for photo, foreground in enumerate(foregrounds):
        foreground.thumbnail((4 * side, 4 * side))
        for place, background in enumerate(backgrounds):
            left, top = map(int, np.random.default_rng((0, 0, photo, place)).integers(0, SIDE - side + 1, 2))
            guide = compose(foreground, background, (left, top, left + side, top + side), SIDE).image
            pixels[photo, place] = np.asarray(guide).transpose(2, 0, 1)
    labels = np.unique([path.parent.name for path in paths[1]], return_inverse=True)[1]
    return Guides(torch.from_numpy(pixels), np.arange(len(foregrounds)) * 5, labels)


def unseen(background: np.ndarray, division: int) -> np.ndarray:
    """Return (30,) bool: the one photo of each background that a division keeps from fine-tuning."""
    place = np.array([np.sum(background[:each] == background[each]) for each in range(len(background))])
    return place == division % 3


def photos(division: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a division's foreground photos: to fine-tune on, and to measure on."""
    first, second = draw(division, TRAIN, TEST)
    return first, second


def settings(objective: str, weight: float, **other: object) -> Settings:
    """Return the settings of a fine-tuning."""
    recipe = OBJECTIVES[objective]
    chosen: dict[str, Any] = {"epochs": 8, "rate": 5e-4, "batch_size": 160, **other}
    return Settings(
        model="mobilenetv2_100",
        kwargs={"pad_type": "same"},
        size=SIZE,
        objective=objective,
        weight=weight,
        per_photo=recipe.per_photo,
        background_gradient=recipe.background_gradient,
        freeze=FROZEN,
        freeze_statistics=True,
        precision="fp32",
        **chosen,
    )


class Top(nn.Module):
    """What follows the frozen stages: their activations to logits, or to pooled features where these are divided."""

    def __init__(self, network: nn.Module, logits: bool) -> None:
        super().__init__()
        self.network, self.logits = network, logits

    def forward(self, activations: torch.Tensor) -> torch.Tensor:
        network: Any = self.network
        found = activations
        for block in network.blocks[FROZEN - 1 :]:
            found = block(found)
        found = network.bn2(network.conv_head(found))
        return network.forward_head(found, pre_logits=not self.logits)


def activations(made: Guides, shared: Path) -> torch.Tensor:
    """Return (VIEWS, 200, 30, 64, 8, 8) float16: what the frozen stages give for views of each guide.

    The first view is the whole guide, the others are random ones, as training draws them. Frozen stages with frozen
    statistics give the same for a view in every step, so that only the number of views differs from a training on
    images.
    """
    network: Any = create("mobilenetv2_100", SIZE, shared / "weights" / CHECKPOINT, {"pad_type": "same"}).eval()
    generator = torch.Generator().manual_seed(0)
    found = []
    with torch.inference_mode():
        for view in range(VIEWS):
            for rows in made.pixels:
                if view:
                    images = augment(rows, SIZE, generator)
                else:
                    images = functional.interpolate(rows.float() / 255, (SIZE, SIZE), mode="bilinear", antialias=True)
                below = network.bn1(network.conv_stem(normalise(images).contiguous(memory_format=torch.channels_last)))
                for block in network.blocks[: FROZEN - 1]:
                    below = block(below)
                found.append(below.half().contiguous())
    return torch.stack(found).view(VIEWS, *made.pixels.shape[:2], *found[0].shape[1:])


class Views(Batches):
    """Batches whose views are activations of the frozen stages, one of `VIEWS` at random."""

    def __init__(self, cached: torch.Tensor, *labels: Any, **options: Any) -> None:
        super().__init__(torch.arange(cached.shape[1]), *labels, world=World(), **options)
        self._cached = cached

    def _views(self, images: torch.Tensor, count: int) -> torch.Tensor:
        return self._cached[torch.randint(VIEWS, (count,), generator=self._generator), images].float()


def fine_tune(
    cached: torch.Tensor, made: Guides, shared: Path, division: int, how: Settings, report=print
) -> Parts | Whole:
    """Fine-tune from the real weights on a division's guides by the loop of `benchmark.train`."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(how.seed)
        network = create(how.model, how.size, shared / "weights" / CHECKPOINT, how.kwargs)
        freeze(how.model, network, how.freeze)
        make = OBJECTIVES[how.objective].make
        model: Any = Whole(network)
        penalty = None
        if make is not None:
            divided = divide(how.model, network, how.size, how.foreground_features)
            model, penalty = Parts(network, divided, 10), make(divided, (1000, 10), how.seed)
        model.encoder = Top(network, logits=make is None)
        chosen, places = photos(division)[0], np.flatnonzero(~unseen(made.background, division))
        grid = np.stack(np.meshgrid(chosen, places, indexing="ij")).reshape(2, -1)
        labels = torch.from_numpy(made.foreground[grid[0]]), torch.from_numpy(made.background[grid[1]])
        options = {"batch_size": how.batch_size, "per_photo": how.per_photo, "size": how.size, "seed": how.seed}
        rows = torch.arange(grid.shape[1])
        batches = Views(cached[:, grid[0], grid[1]], *labels, torch.from_numpy(grid), rows, None, **options)
        training = Training(model, penalty, batches, how, World(), torch.device("cpu"))
        training.run(lambda: None, 1 << 30, report)
    return model.eval()


def study(model: Parts | Whole, cached: torch.Tensor, made: Guides) -> Study:
    """Return the pooled features of all guides, without random views, and the head."""
    below: Any = model.encoder
    network = below.network
    top = Top(network, logits=False)
    with torch.inference_mode():
        found = [top(rows.float().contiguous(memory_format=torch.channels_last)).numpy() for rows in cached[0]]
    head = network.get_classifier()
    weight, bias = (each.detach().numpy() for each in (head.weight, head.bias))
    return Study(np.stack(found), made.foreground, made.background, weight, bias)


def neck(found: Study, division: int, weight: float, width: int = NECK) -> tuple[Study, int]:
    """Train a neck with `pair` on a division's fine-tuning guides; return all guides' foreground part, and its width.

    The head is that of the neck, over the 140 photos, under the numbers of their classes.
    """
    chosen, places = photos(division)[0], np.flatnonzero(~unseen(found.background, division))
    sources = np.stack(np.meshgrid(chosen, places, indexing="ij")).reshape(2, -1)
    known, labels = np.unique(found.foreground[sources[0]], return_inverse=True)
    rows = adapter.Labelled(found.features[sources[0], sources[1]], labels, found.background[sources[1]], sources)
    trained = adapter.train(rows, "pair", weight, division, width)
    count = found.features.shape[-1]
    part = trained.part(found.features.reshape(-1, count), "foreground")
    head = np.full((1000, part.shape[1]), 0.0, np.float32), np.full(1000, -np.inf, np.float32)
    for place, each in zip(head, (trained.foreground_head.weight, trained.foreground_head.bias), strict=True):
        place[known] = each.detach().numpy()
    shape = (*found.features.shape[:2], part.shape[1])
    return Study(part.reshape(shape), found.foreground, found.background, *head), part.shape[1]


def readable(found: Study, width: int, division: int, cut: str) -> dict[str, Any]:
    """Return what the readers read of the background in the first `width` features, the best one, and its null.

    The best is chosen on held-out photos. Labels are permuted over background photos, the best reader fitted again.
    """
    test, new = photos(division)[1], unseen(found.background, division)
    everything = np.arange(len(new))
    values, labels = found.rows(test, everything)[:, :width], found.labels(test, everything)
    photo, place = np.repeat(np.arange(len(test)), len(new)), np.tile(everything, len(test))
    tested = new[place] == (cut == "unseen")
    folds = []
    for fold in range(FOLDS):
        train = np.flatnonzero((photo % FOLDS != fold) & ~new[place])
        held = photo[train] // FOLDS % 4 == 0
        folds.append(Fold(train, np.flatnonzero((photo % FOLDS == fold) & tested), ~held, held))
    read = read_all(values, labels, folds, len(np.unique(labels)), Asked(READERS, division, control=False))
    best = max(read, key=lambda kind: read[kind].held_right.mean())
    changed = permuted(owners(labels, place, folds), NULLS, division)
    assert changed is not None
    null = nulls(values, changed, folds, read[best].again).mean(1)
    each = {kind: float(one.right.mean()) for kind, one in read.items()}
    return {"each": each, "best": best, "accuracy": each[best], "null": float(null.mean())}


def kept(found: Study, width: int, division: int) -> dict[str, float]:
    """Return what the first `width` features keep of the 60 photos, and the head's accuracy.

    `class`: a new linear probe, fitted on the seen and tested on the unseen background photos; `same`: recall@1 of the
    photo on another background. `head`: of the 140 photos on unseen background photos, whose classes it was trained on;
    it knows the classes of the 60 photos only from before.
    """
    (chosen, test), new = photos(division), unseen(found.background, division)
    everything, seen = np.flatnonzero(new | ~new), np.flatnonzero(~new)
    rows, label = found.rows(test, seen)[:, :width], np.repeat(np.arange(len(test)), len(seen))
    held = np.tile(np.arange(len(seen)) % 4 == 0, len(test))
    probe = probes.fit("linear", rows, label, held, classes=len(test), seed=division)
    right = probe(found.rows(test, np.flatnonzero(new))[:, :width]).argmax(1)
    again = same_photo(
        found.rows(test, everything)[:, :width], np.repeat(test, len(new)), found.labels(test, everything)
    )
    logits = found.rows(chosen, np.flatnonzero(new)) @ found.weight.T + found.bias
    head = logits.argmax(1) == np.repeat(found.foreground[chosen], new.sum())
    return {
        "class": float((right == np.repeat(np.arange(len(test)), new.sum())).mean()),
        "same": float(again.mean()),
        "head": float(head.mean()),
    }
