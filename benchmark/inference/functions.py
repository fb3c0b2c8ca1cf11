"""A plain function over images, as of JAX, TensorFlow or numpy: batch after batch in this process. Needs no torch."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from benchmark.data.decode import Images
from benchmark.data.distinct import distinct
from benchmark.data.external import from_logits
from benchmark.data.split import Split
from benchmark.schemas.predictions import Answers, at
from d3s_dataset.errors import ModelError, ReleaseError, one_line
from d3s_dataset.taxonomy import classes
from d3s_dataset.utils.cli import progress
from d3s_dataset.utils.pixels import rgb

BATCH = 32  # images


def answers_of(
    function: Callable[[Any], Any], name: str, split: Split, transform: Callable[[Any], Any] | None = None
) -> Answers:
    """Return a function's predictions on a split; rows that hold the same image are answered once.

    Args:
        function: from a batch of b images to (b, 1000) logits, as anything that numpy takes or a tensor.
        name: of it, for errors.
        split: the images.
        transform: a PIL image (RGB) to an array of one shape for all; the batch is then one array, or one tensor where
            it gives tensors of torch. None: the batch is a list of PIL images.

    Raises:
        ModelError: another shape, or logits that are not finite.
        ReleaseError: an image that cannot be read.
    """
    shown, place = distinct(split)
    truth, parts, start = shown.foreground, [], 0
    with progress(total=shown.n, label=name) as bar:
        for images in _batches(shown):
            logits = _logits(function(_stacked(images, transform)), name, len(images))
            parts.append(from_logits(logits, truth[start : start + len(images)]))
            start += len(images)
            bar.update(len(images))
    found = {each: np.concatenate([vars(part)[each] for part in parts]) for each in vars(parts[0])}
    return at(Answers(**found), place)


def _batches(split: Images) -> Iterator[list[Any]]:
    contents = enumerate(islice(split.images(), split.n))
    while some := list(islice(contents, BATCH)):
        yield [_image(split, index, content) for index, content in some]


def _image(split: Images, index: int, content: bytes | None) -> Any:
    try:
        return rgb(content)
    except ValueError as error:
        raise ReleaseError(f"{split.where(index)} cannot be read: {one_line(error)}") from None


def _stacked(images: Sequence[Any], transform: Callable[[Any], Any] | None) -> Any:
    if transform is None:
        return list(images)
    made = [transform(each) for each in images]
    if hasattr(made[0], "detach"):  # tensors, for a function of torch
        import torch

        return torch.stack(made)
    return np.stack(made)


def _logits(said: Any, name: str, count: int) -> np.ndarray:
    logits = np.asarray(said.detach().cpu().float() if hasattr(said, "detach") else said)
    expected = (count, len(classes()))
    if logits.shape != expected:
        raise ModelError(f"{name} gave an answer of shape {logits.shape}: expected {expected}")
    if not np.isfinite(logits.astype(np.float64)).all():
        raise ModelError(f"{name} gave a logit that is not finite")
    return logits
