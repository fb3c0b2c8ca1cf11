"""Erasers on real features: guides of all shared photos, three disjoint sets of foreground photos, strong probes.

The background label is what is erased, or which background photo an image shows. Cut `seen`: eraser and probe have seen
the background photos of the test; `unseen`: neither has (one photo of each background is left out). Next to it what is
kept on the test photos: a fresh probe of the class, the same photo on another background found again, and the model's
own head; and what bags of test images and averaged queries of random erasers give away.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import timm
import torch
from PIL import Image
from safetensors.torch import load_file
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform
from torch import nn

from benchmark import erasers
from benchmark.erasers.registry import Eraser
from benchmark.models import packaged
from benchmark.probing import probes, threats
from benchmark.probing.folds import Fold
from benchmark.probing.leakage import Asked, Tested, nulls, read_all
from benchmark.probing.permutation import owners, permuted
from benchmark.probing.registry import PROBES
from benchmark.probing.retention import same_photo
from generation.images.compose import compose

SIZE, SIDE = 512, 204  # as in the paper: 0.4 of the side
Map = Callable[[np.ndarray], np.ndarray]  # of features: a fitted eraser or a neck
FOLDS = 3  # background photos of each background
READERS = tuple(PROBES)
SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Study:
    """(photos, backgrounds, d) features of each foreground on each background photo, their labels, and the head."""

    features: np.ndarray
    foreground: np.ndarray
    background: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    def rows(self, photos: np.ndarray, backgrounds: np.ndarray) -> np.ndarray:
        return self.features[np.ix_(photos, backgrounds)].reshape(-1, self.features.shape[-1])

    def labels(self, photos: np.ndarray, backgrounds: np.ndarray) -> np.ndarray:
        return np.tile(self.background[backgrounds], len(photos))


def _mobilenet(shared: Path) -> nn.Module:
    network = timm.create_model("mobilenetv2_100", pad_type="same").eval()
    network.load_state_dict(load_file(shared / "weights" / "mobilenetv2_100.safetensors"))
    return network


def _lite0(shared: Path) -> nn.Module:
    return packaged.load("packaged:tf_efficientnet_lite0", None, {}).network


BACKBONES: dict[str, Callable[[Path], nn.Module]] = {"mobilenetv2_100": _mobilenet, "tf_efficientnet_lite0": _lite0}


def study(shared: Path, backbone: str = "mobilenetv2_100") -> Study:
    """Compose the guides and pool their features; each pair of photos has its own box, drawn by their numbers."""
    network = BACKBONES[backbone](shared)
    transform = create_transform(**resolve_model_data_config(network))
    paths = [_photos(shared / name) for name in ("foregrounds", "backgrounds")]
    foregrounds, backgrounds = ([Image.open(path).convert("RGB") for path in each] for each in paths)

    def one(photo: int, place: int) -> torch.Tensor:
        left, top = map(int, np.random.default_rng((0, 0, photo, place)).integers(0, SIZE - SIDE + 1, 2))
        guide = compose(foregrounds[photo], backgrounds[place], (left, top, left + SIDE, top + SIDE), SIZE).image
        return torch.as_tensor(transform(guide))

    pooled = []
    with ThreadPoolExecutor(2) as threads, torch.inference_mode():
        for photo in range(len(foregrounds)):
            images = torch.stack(list(threads.map(one, [photo] * len(backgrounds), range(len(backgrounds)))))
            pooled.append(network.forward_head(network.forward_features(images), pre_logits=True).numpy())
    weight, bias = (each.detach().numpy() for each in (network.classifier.weight, network.classifier.bias))
    labels = np.unique([path.parent.name for path in paths[1]], return_inverse=True)[1]
    return Study(np.stack(pooled), np.arange(len(foregrounds)) * 5, labels, weight, bias)


def _photos(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES)


def divide(seed: int, *sizes: int) -> list[np.ndarray]:
    """Return disjoint sets of foreground photos, drawn by a seed."""
    order = np.random.default_rng(seed).permutation(200)
    return [np.sort(each) for each in np.split(order, np.cumsum(sizes))[: len(sizes)]]


def background_split(study: Study, cut: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which background photos eraser and probe see, and which the test has."""
    everything = np.arange(len(study.background))
    if cut == "seen":
        return everything, everything
    place = np.array([np.sum(study.background[:each] == study.background[each]) for each in everything])
    return everything[place != seed % FOLDS], everything[place == seed % FOLDS]


def fit(
    study: Study,
    name: str,
    photos: np.ndarray,
    seen: np.ndarray,
    *,
    label: str = "background",
    options: Mapping[str, float] | None = None,
) -> Eraser:
    """Fit an eraser of the background label, or of the background photo, that keeps the foreground photo."""
    keep = np.repeat(photos, len(seen))
    erase = study.labels(photos, seen) if label == "background" else np.tile(seen, len(photos))
    head = study.weight, study.bias
    return erasers.fit(name, study.rows(photos, seen), erase, keep, head=head, options=options)


@dataclass(frozen=True)
class Draw:
    """A draw of photos: those of probe and test, the cut, and the division, which is the seed too."""

    probe: np.ndarray
    test: np.ndarray
    cut: str
    seed: int


def _labels(study: Study, draw: Draw) -> tuple[np.ndarray, np.ndarray, Fold]:
    """Return labels and background photos of the probe's rows and then the test's, and the fold that they are."""
    seen, tested = background_split(study, draw.cut, draw.seed)
    held = np.repeat(np.arange(len(draw.probe)) % 4 == 0, len(seen))
    sides = (draw.probe, seen), (draw.test, tested)
    labels = np.concatenate([study.labels(*each) for each in sides])
    photo = np.concatenate([np.tile(places, len(photos)) for photos, places in sides])
    rows = np.arange(len(labels))
    return labels, photo, Fold(rows[: len(held)], rows[len(held) :], ~held, held)


def rows_of(study: Study, draw: Draw) -> np.ndarray:
    """Return the features of the probe's rows and then the test's."""
    seen, tested = background_split(study, draw.cut, draw.seed)
    return np.concatenate([study.rows(draw.probe, seen), study.rows(draw.test, tested)])


def read(study: Study, erased: np.ndarray, draw: Draw, readers: tuple[str, ...] = READERS) -> dict[str, Tested]:
    """Return what each probe, fitted on the probe's photos, reads of the background of the test's."""
    labels, _, fold = _labels(study, draw)
    return read_all(erased, labels, [fold], int(study.background.max()) + 1, Asked(readers, draw.seed))


def best(found: Mapping[str, Tested]) -> str:
    """Return the probe that reads most of the held-out photos."""
    return max(found, key=lambda kind: found[kind].held_right.mean())


def leakage(
    study: Study, eraser: Eraser, probe: np.ndarray, test: np.ndarray, cut: str, seed: int
) -> tuple[dict[str, float], list[str]]:
    """Return how often each probe reads the background of the test's photos; which are weak.

    Weak are those that have not converged, a network below the linear probe among them: they show lower bounds.
    """
    draw = Draw(probe, test, cut, seed)
    found = read(study, eraser(rows_of(study, draw)), draw)
    weak = [kind for kind, each in found.items() if not all(one.converged for one in each.reports)]
    return {kind: float(each.right.mean()) for kind, each in found.items()}, weak


def null_of(study: Study, erased: np.ndarray, draw: Draw, found: Tested, repeats: int) -> float:
    """Return what a probe reads on average of permuted labels, fitted anew to them."""
    labels, photo, fold = _labels(study, draw)
    changed = permuted(owners(labels, photo, [fold]), repeats, draw.seed)
    assert changed is not None
    return float(nulls(erased, changed, [fold], found.again).mean())


def bagged(study: Study, draw: Draw, found: Tested, count: int) -> float:
    """Return how often a probe reads the background of `count` test images of a background photo together."""
    labels, photo, fold = _labels(study, draw)
    return float(threats.bags(found.probability, labels[fold.test], photo[fold.test], count, draw.seed).mean())


def kept(study: Study, eraser: Map, test: np.ndarray, seed: int) -> dict[str, float]:
    """Return a fresh probe's accuracy on the class, recall@1 of the photo on another background, the head's top-1.

    The head's is NaN where features are no longer those that it takes.
    """
    everything = np.arange(len(study.background))
    rows, head = eraser(study.rows(test, everything)), float("nan")
    if rows.shape[1] == study.weight.shape[1]:
        right = (rows @ study.weight.T + study.bias).argmax(1) == np.repeat(study.foreground[test], len(everything))
        head = float(right.mean())
    again = same_photo(rows, np.repeat(test, len(everything)), study.labels(test, everything))
    return {"class": _fresh(study, eraser, test, seed), "recall": float(again.mean()), "head": head}


def _fresh(study: Study, eraser: Map, test: np.ndarray, seed: int) -> float:
    seen, tested = background_split(study, "unseen", seed)
    labels = np.repeat(np.arange(len(test)), len(seen))
    held = np.tile(np.arange(len(seen)) % 4 == 0, len(test))
    probe = probes.fit("linear", eraser(study.rows(test, seen)), labels, held, classes=len(test), seed=seed)
    right = probe(eraser(study.rows(test, tested))).argmax(1) == np.repeat(np.arange(len(test)), len(tested))
    return float(right.mean())
