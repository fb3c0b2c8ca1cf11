"""Error gallery: the misclassified images of highest confidence on each background, with small pictures."""

import base64
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.data.split import Split, open_split
from benchmark.metrics.accuracy import hits
from benchmark.reports.text import percent
from benchmark.schemas.predictions import Predictions
from benchmark.schemas.result import Dataset
from d3s_dataset.errors import ReleaseError
from d3s_dataset.taxonomy import classes
from d3s_dataset.utils.outline import outlined
from d3s_dataset.utils.pixels import rgb

PER_BACKGROUND = 12
SIDE = 160  # pixels of a small picture
QUALITY = 78


@dataclass(frozen=True)
class Mistake:
    """One misclassified image: its labels, the prediction and its confidence."""

    model: int
    key: str
    foreground: str
    background: str
    answer: str
    confidence: float


def mistakes(model: int, predictions: Predictions, backgrounds: Sequence[str]) -> list[Mistake]:
    """Return the `PER_BACKGROUND` errors of highest confidence on each background, the surest first.

    Args:
        model: its number in the report.
        predictions: the model's.
        backgrounds: the release's background names in label order.
    """
    wrong = ~hits(predictions.foreground, predictions.prediction)
    found, names = [], [each.name for each in classes()]
    for label, background in enumerate(backgrounds):
        rows = np.flatnonzero(wrong & (predictions.background == label))
        sure = confidence(predictions)[rows]
        order = np.lexsort((predictions.key[rows].astype(str), -sure))[:PER_BACKGROUND]
        for row in rows[order]:
            truth, answer = names[predictions.foreground[row]], names[predictions.prediction[row, 0]]
            own = float(confidence(predictions)[row])
            found.append(Mistake(model, str(predictions.key[row]), truth, background, answer, own))
    return found


def confidence(predictions: Predictions) -> np.ndarray:
    """Return (n,) the probability of each answer; NaN where predictions made elsewhere lack it."""
    if predictions.probability is None:
        return np.full(len(predictions), np.nan)
    return predictions.probability[:, 0]


def pictures(dataset: str | Path, facts: Dataset, keys: Iterable[str]) -> dict[str, str]:
    """Return small JPEGs of some images as data URIs, by key, with the edge of the object's mask where there is one.

    Args:
        dataset: `d3s`, a folder, or a Hub repo.
        facts: what the results were measured on.
        keys: of the images.

    Raises:
        DatasetNotFound, ReleaseError: no release there, another than measured on, or one that cannot be read.
    """
    split = open_split(dataset, facts.config, facts.split.partition("[")[0])
    found = split.manifest.digest_of(facts.config)
    if found != facts.digest:
        raise ReleaseError(
            f"{dataset} holds other images (digest {found[:8]}) than the results' {facts.name} (digest "
            f"{facts.digest[:8]}): pass --dataset with the folder or repo they were measured on"
        )
    wanted = {str(each) for each in keys}
    return {
        str(key): _small(split, index, content, mask)
        for index, (key, content, mask) in enumerate(zip(split.key, split.images(), split.masks(), strict=False))
        if str(key) in wanted
    }


def _small(split: Split, index: int, content: bytes | None, mask: bytes | None) -> str:
    try:
        image = rgb(content)
        image.thumbnail((SIDE, SIDE))
        image = outlined(image, mask)
    except ValueError as error:
        raise ReleaseError(f"{split.where(index)} cannot be read as an image: {error}") from None
    sink = io.BytesIO()
    image.save(sink, "JPEG", quality=QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(sink.getvalue()).decode()}"


def listed(found: Sequence[Mistake], images: dict[str, str]) -> dict[str, Any]:
    """Return mistakes for the page's script, one of each background in turn, and each picture once."""
    seen: Counter[tuple[int, str]] = Counter()
    turns = []
    for each in found:
        turns.append(seen[each.model, each.background])
        seen[each.model, each.background] += 1
    order = sorted(range(len(found)), key=lambda place: turns[place])
    return {
        "mistakes": [
            [each.model, each.key, each.foreground, each.background, each.answer, percent(each.confidence)]
            for each in (found[place] for place in order)
        ],
        "images": images,
    }
