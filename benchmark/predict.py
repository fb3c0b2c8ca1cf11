"""A model over a split: logits in the chosen precision, reduced to what predictions keep.

Torch half.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmark.data import Split, batches
from benchmark.models import Classifier
from benchmark.predictions import BEST, Predictions
from d3s_dataset.command import progress
from d3s_dataset.errors import ModelError
from d3s_dataset.taxonomy import classes

PRECISIONS = ("auto", "fp32", "bf16")
TRIAL_IMAGES = 256  # how many of the first images `auto` compares
LEAST_AGREEMENT = 0.98  # of top-1 between bf16 and fp32, for `auto` to take bf16
_BATCH_SIZE = {"cpu": 32, "cuda": 64}

_Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Precision:
    """What a model was run in, and on which share of the trial images bf16 and fp32 agreed (None: not compared)."""

    name: str
    agreement: float | None = None


def predict(classifier: Classifier, split: Split, precision: str = "auto") -> tuple[Predictions, Precision]:
    """Run a model over the images of a split.

    Args:
        classifier: the model.
        split: the images.
        precision: `fp32`, `bf16` (autocast), or `auto`: bf16 where the processor has units for it and the first
            256 images agree with fp32 on at least 98 % of top-1.

    Returns:
        Predictions without provenance, in the split's order, and the precision used.

    Raises:
        ModelError: logits of another shape than (b, 1000), or not finite.
        ReleaseError: an image that cannot be read.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = classifier.network.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    stream = batches(split, classifier.transform, _BATCH_SIZE[device.type], pin=device.type == "cuda")
    with torch.inference_mode(), _true_fp32():
        used, stream = _choose(network, stream, precision, device)
        answers = _collect(classifier, network, stream, split, used.name, device)
    return answers, used


def fast_bf16(device: torch.device) -> bool:
    """Say whether a device has bf16 units, so that bf16 is worth trying."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return _cpu_has("amx_bf16") or _cpu_has("avx512_bf16")


def trains_in_bf16(device: torch.device) -> bool:
    """Say whether bf16 also pays in training, whose backward pass is slow in bf16 on a CPU without matrix units."""
    return fast_bf16(device) and (device.type == "cuda" or _cpu_has("amx_bf16"))


def _cpu_has(feature: str) -> bool:
    # torch 2.11 has no get_capabilities; then bf16 is simply not tried on a CPU.
    return bool(torch.cpu.get_capabilities().get(feature)) if hasattr(torch.cpu, "get_capabilities") else False


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return the context in which a forward pass runs in this precision."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()


def _true_fp32() -> AbstractContextManager[object]:
    # cuDNN's default for "fp32" convolutions is TF32, with ten bits of mantissa.
    return torch.backends.cudnn.flags(enabled=True, allow_tf32=False)


def _choose(
    network: nn.Module, stream: _Batches, precision: str, device: torch.device
) -> tuple[Precision, Iterator[tuple[torch.Tensor, torch.Tensor]]]:
    """Return the precision to use, and the stream with the trial images put back."""
    stream = iter(stream)
    if precision != "auto":
        return Precision(precision), stream
    if not fast_bf16(device):
        return Precision("fp32"), stream
    trial = list(islice(stream, -(-TRIAL_IMAGES // _BATCH_SIZE[device.type])))
    best = [
        torch.cat([_forward(network, images, name, device).argmax(1) for _, images in trial])
        for name in ("fp32", "bf16")
    ]
    agreement = float((best[0] == best[1]).double().mean())
    return Precision("bf16" if agreement >= LEAST_AGREEMENT else "fp32", agreement), chain(trial, stream)


def _forward(network: nn.Module, images: torch.Tensor, precision: str, device: torch.device) -> torch.Tensor:
    images = images.to(device, memory_format=torch.channels_last, non_blocking=True)
    with autocast(device, precision):
        return network(images).float()


def _collect(
    classifier: Classifier, network: nn.Module, stream: _Batches, split: Split, precision: str, device: torch.device
) -> Predictions:
    labels = {name: split.labels[name].to_numpy(zero_copy_only=False) for name in split.labels.column_names}
    prediction = np.empty((split.n, BEST), dtype=np.int32)
    probability = np.empty((split.n, BEST), dtype=np.float32)
    loss, squares = np.empty(split.n, dtype=np.float32), np.empty(split.n, dtype=np.float32)
    with progress(total=split.n, label=classifier.name) as bar:
        for index, images in stream:
            rows = index.numpy()
            logits = _forward(network, images, precision, device)
            _check_logits(classifier.name, logits, labels["key"][rows])
            probabilities = logits.softmax(1)
            best, squares[rows] = probabilities.topk(BEST), probabilities.square().sum(1).cpu().numpy()
            truth = torch.from_numpy(labels["foreground"][rows]).to(device)
            prediction[rows], probability[rows] = best.indices.cpu().numpy(), best.values.cpu().numpy()
            loss[rows] = functional.cross_entropy(logits, truth, reduction="none").cpu().numpy()
            bar.update(len(rows))
    columns = ("key", "foreground", "background", "foreground_source", "background_source")
    kept = {name: labels[name] for name in columns}
    return Predictions(**kept, prediction=prediction, probability=probability, loss=loss, squares=squares)


def _check_logits(name: str, logits: torch.Tensor, keys: np.ndarray) -> None:
    if logits.shape != (len(keys), len(classes())):
        raise ModelError(
            f"{name} gave an answer of shape {tuple(logits.shape)}: expected ({len(keys)}, {len(classes())})"
        )
    finite = logits.isfinite().all(1)
    if not finite.all():
        first = keys[int(torch.nonzero(~finite)[0])]
        raise ModelError(f"{name} gave a logit that is not finite, first for image {first}")
