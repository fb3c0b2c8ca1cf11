"""A model over images: which device, precision and compilation, block after block into a store.

Torch half. The work is cut into the cache's parts; those that a store already has are not computed again.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import torch
from torch.nn import functional

from benchmark.cache.blocks import Span, Store
from benchmark.cache.cache import Options
from benchmark.data.decode import Images, blocks, shared_blocks
from benchmark.data.split import Split
from benchmark.inference.devices import choose_devices, fast_bf16, has_tf32
from benchmark.inference.runner import Forward, divide, forwards, pays
from benchmark.models.classifier import Classifier
from benchmark.schemas.predictions import BEST, Answers, Predictions
from benchmark.schemas.result import Run
from d3s_dataset.errors import ModelError
from d3s_dataset.utils.cli import progress

LEAST_AGREEMENT = 0.98  # of top-1 between bf16 and fp32, for `auto` to take bf16
LEAST_AGREEMENT_TF32 = 0.995
TF32_IMAGES = 512  # on which tf32 is compared; with fewer `auto` does not take it

P = TypeVar("P")
_More = Callable[[Span], np.ndarray]  # prepares a span of the images
_Blocks = Iterator[tuple[Span, np.ndarray]]


@dataclass(frozen=True)
class Trial:
    """A precision that `auto` takes where it gives fp32's top-1 on `least` of the first `images` images or more."""

    precision: str
    least: float
    images: int


def predict(classifier: Classifier, split: Split, precision: str = "auto") -> tuple[Predictions, Run]:
    """Run a model over a split, keeping nothing; returns predictions without provenance, and how they were made."""
    store = Store(Answers)
    run = answer(classifier, split, Options(precision), store)
    return split.predictions(store.all(split.n)), run


def answer(
    classifier: Classifier,
    source: Images,
    options: Options,
    store: Store[Answers],
    content: str | None = None,
    wanted: Sequence[Span] | None = None,
) -> Run:
    """Run a model over the images that a store lacks; raises ModelError also for logits that are not finite.

    Otherwise as `fill`.
    """

    def reduce(rows: slice, logits: torch.Tensor) -> Answers:
        return _reduce(classifier.name, logits, source, rows)

    return fill(classifier, source, options, store, reduce, content, wanted)


def fill(
    classifier: Classifier,
    source: Images,
    options: Options,
    store: Store[P],
    reduce: Callable[[slice, torch.Tensor], P],
    content: str | None = None,
    wanted: Sequence[Span] | None = None,
) -> Run:
    """Run a model over the images that a store lacks.

    Args:
        classifier: the model.
        source: the images.
        options: how.
        store: where parts go, block by block; an earlier part's precision and compilation are kept.
        reduce: rows, and what the network gave for them (float32, on the device), to a part.
        content: the digest of the images, by which `options.decoded` holds them; None: it does not.
        wanted: the blocks to run; None: all.

    Returns:
        How it ran.

    Raises:
        ModelError: an output of another shape, or not enough memory for one image.
        ReleaseError: an image that cannot be read.
    """
    chosen = None if wanted is None else set(wanted)
    before, spans = store.run, [each for each in store.missing(source.n) if chosen is None or each in chosen]
    if before is not None and not spans:
        return before
    prepare, finish = divide(classifier.transform)
    runners = forwards(classifier.name, classifier.network, choose_devices(options.devices), finish)
    _check(options.precision if before is None else before.precision, runners)
    # Decoding in parallel with the network would slow a CPU's own threads down (`decode`).
    ahead = 0 if runners[0].device.type == "cpu" else 1
    if options.decoded is None or content is None:
        stream = blocks(source, prepare, spans, ahead=ahead, held=len(runners))
    else:
        stream = shared_blocks(source, prepare, spans, options.decoded, content, ahead=ahead, held=len(runners))
    left = sum(stop - start for start, stop in spans)
    more = partial(_prepared, source, prepare) if source.n >= TF32_IMAGES else None
    total = source.n if wanted is None else left
    with progress(total=total, label=classifier.name) as bar:
        bar.update(total - left)
        agreement, first = _settle(runners, stream, left, options, store, more, bar.update)
        for span, logits in chain(first, _spread(runners, stream, bar.update)):
            store.write(span, reduce(slice(*span), logits))
    return _run(runners, agreement)


def _settle(
    runners: list[Forward],
    stream: _Blocks,
    n: int,
    options: Options,
    store: Store[P],
    more: _More | None,
    done: Callable[[int], object],
) -> tuple[float | None, list[tuple[Span, torch.Tensor]]]:
    """Choose precision and compilation on the first block, or take an earlier part's; compile what that one did not.

    Args:
        runners: the network on each device.
        stream: blocks, one at least.
        n: how many images are to be run.
        options: how.
        store: the record of the settings of earlier parts.
        more: prepares other images for a longer trial; None where there are too few.
        done: called after each batch with its number of images.

    Returns:
        On which share of the trial's images the precision and fp32 agreed (None: not compared), and the block's span
        with its logits.
    """
    span, pixels = next(stream)
    before, begun = store.run, time.perf_counter()
    if before is None:
        precision, agreement, logits = _try(runners[0], pixels, options.precision, more, done)
    else:
        precision, agreement = before.precision, before.agreement
        _set(runners, precision, before.compiled)
        logits = runners[0].logits(pixels, done)
    seconds = time.perf_counter() - begun
    _set(runners, precision, compiled=False)
    mine = options.compile and not runners[0].compiled
    if mine and pays(seconds * n / len(pixels) / len(runners), runners[0].device):
        runners[0].compile(pixels, n // len(runners))
        _set(runners, precision, runners[0].compiled)
    kept = store.begin(_run(runners, agreement), before)
    if kept.precision != precision:  # another process has chosen first
        _set(runners, kept.precision, kept.compiled)
        agreement, logits = kept.agreement, runners[0].logits(pixels)
    return agreement, [(span, logits)]


def _try(
    runner: Forward,
    pixels: np.ndarray,
    precision: str,
    more: _More | None,
    done: Callable[[int], object],
) -> tuple[str, float | None, torch.Tensor]:
    """Return the precision to use, on which share it and fp32 agree (None: not compared), and the block's logits."""
    made: dict[tuple[str, int], torch.Tensor] = {}

    def run(precision: str, images: int) -> torch.Tensor:
        if (precision, images) not in made:
            runner.precision = precision
            if more is None or images <= len(pixels):
                found = runner.logits(pixels[:images], *([] if made else [done]))
            else:
                found = torch.cat([run(precision, len(pixels)), runner.logits(more((len(pixels), images)))])
            made[precision, images] = found
        return made[precision, images]

    tried = trials(runner.device, len(pixels), longer=more is not None)
    chosen, agreement = choose(tried, run) if precision == "auto" else (precision, None)
    logits = run(chosen, len(pixels))
    runner.precision = chosen
    return chosen, agreement, logits


def trials(device: torch.device, images: int, *, longer: bool) -> list[Trial]:
    """Return the precisions that `auto` tries on a device.

    Args:
        device: where.
        images: how many there are in the first block.
        longer: whether there are enough for tf32.
    """
    made = [Trial("bf16", LEAST_AGREEMENT, images)] if fast_bf16(device) else []
    return [*made, *([Trial("tf32", LEAST_AGREEMENT_TF32, TF32_IMAGES)] if longer and has_tf32(device) else [])]


def choose(trials: Sequence[Trial], run: Callable[[str, int], torch.Tensor]) -> tuple[str, float | None]:
    """Return the first precision that agrees with fp32, else fp32, and on which share of the images it did.

    Args:
        trials: precisions, the quickest first.
        run: from a precision and a number m of images to the (m, k) logits of the first of them.

    Returns:
        For fp32 the share is that of the first trial, None where there is none.
    """
    shares = []
    for each in trials:
        same = run(each.precision, each.images).argmax(1) == run("fp32", each.images).argmax(1)
        shares.append(float(same.double().mean()))
        if shares[-1] >= each.least:
            return each.precision, shares[-1]
    return "fp32", shares[0] if shares else None


def _prepared(source: Images, prepare: Callable[[Any], Any], span: Span) -> np.ndarray:
    ((_, pixels),) = blocks(source, prepare, [span])
    return pixels


def _check(precision: str, runners: list[Forward]) -> None:
    lacking = [str(each.device) for each in runners if precision == "tf32" and not has_tf32(each.device)]
    if lacking:
        raise ModelError(
            f"precision tf32 is of NVIDIA GPUs of compute capability 8.0 and above, got {lacking[0]}: expected "
            "--precision fp32, or such a GPU in --devices"
        )


def _set(runners: list[Forward], precision: str, compiled: bool) -> None:
    for each in runners:
        each.precision = precision
        if compiled:
            each.use_compiled()


def _run(runners: list[Forward], agreement: float | None) -> Run:
    return Run(
        precision=runners[0].precision,
        agreement=agreement,
        compiled=runners[0].compiled,
        batch_size=min(each.batch_size for each in runners),
        devices=[str(each.device) for each in runners],
    )


def _spread(
    runners: list[Forward], stream: _Blocks, tick: Callable[[int], object]
) -> Iterator[tuple[Span, torch.Tensor]]:
    """Yield each block's logits, in order; blocks go to the devices in turn, each with a thread of its own."""
    if len(runners) == 1:
        yield from ((span, runners[0].logits(pixels, tick)) for span, pixels in stream)
        return
    pools = [ThreadPoolExecutor(1) for _ in runners]
    try:
        under_way: deque[tuple[Span, Future[torch.Tensor]]] = deque()
        for turn, (span, pixels) in enumerate(stream):
            at = turn % len(runners)
            under_way.append((span, pools[at].submit(runners[at].logits, pixels, tick)))
            # The next block is decoded into the memory of the oldest.
            if len(under_way) == len(runners):
                done, logits = under_way.popleft()
                yield done, logits.result()
        yield from ((span, logits.result()) for span, logits in under_way)
    finally:
        for pool in pools:
            pool.shutdown(cancel_futures=True)


def _reduce(name: str, logits: torch.Tensor, source: Images, rows: slice) -> Answers:
    finite = logits.isfinite().all(1)
    if not finite.all():
        first = source.key[rows][int(torch.nonzero(~finite)[0])]
        raise ModelError(f"{name} gave a logit that is not finite, first for image {first}")
    probabilities = logits.softmax(1)
    best = probabilities.topk(BEST)
    truth = torch.tensor(source.foreground[rows], dtype=torch.int64, device=logits.device)
    return Answers(
        prediction=best.indices.int().cpu().numpy(),
        probability=best.values.cpu().numpy(),
        loss=functional.cross_entropy(logits, truth, reduction="none").cpu().numpy(),
        squares=probabilities.square().sum(1).cpu().numpy(),
    )
