"""`make bench`: a real backbone fine-tuned with `erm` and with `pair`, and what is then readable in new photos.

mobilenetv2_100 from its real weights, on guides of 140 foreground photos x 20 background photos; see `pair_study`. All
features of `erm`, and the foreground part of `pair`: for the whole backbone, in three divisions of the photos, over
several weights in the first; and for a neck on the features of `erm`, over widths and weights.
"""

import time

import pytest
import torch

from tests.support import pair_study
from tests.support.eraser_study import Study
from tests.support.processes import torch_threads

pytestmark = pytest.mark.bench
DIVISIONS = (1, 2, 3)
WEIGHT = 30.0
CURVE = (0.0, 3.0, 10.0, 100.0)  # in the first division, beside `WEIGHT`
NECKS = ((32, 10.0), (256, 0.0), (256, 1.0), (256, 10.0), (256, 100.0))  # width and weight


@pytest.fixture(scope="module")
def made(shared_data) -> pair_study.Guides:
    return pair_study.guides(shared_data)


@pytest.fixture(scope="module")
def cached(made, shared_data) -> torch.Tensor:
    return pair_study.activations(made, shared_data)


def test_the_curve(made, cached, shared_data):
    cuts = [f"{cut} {name}" for cut in ("unseen", "seen") for name in ("reading", "null", "difference")]
    print(f"\n| trained | {' | '.join(cuts)} | class | same photo | own head |")
    with torch_threads(2):
        for division in DIVISIONS:
            erm, left = tuned(made, cached, shared_data, division, "erm", 0.0)
            for weight in (WEIGHT, *(CURVE if division == DIVISIONS[0] else ())):
                _, read = tuned(made, cached, shared_data, division, "pair", weight)
                assert weight < WEIGHT or read < 0.5 * left
            for width, weight in NECKS if division == DIVISIONS[0] else ():
                neck, part = pair_study.neck(erm, division, weight, width)
                read = shown(f"erm, then a neck of {width} with pair {weight:g}", division, neck, part)
                assert weight < 10 or read < 0.5 * left


def tuned(made, cached, shared_data, division: int, objective: str, weight: float) -> tuple[Study, float]:
    """Fine-tune, print a row; return the features, and reading minus null on unseen background photos."""
    start = time.perf_counter()
    how = pair_study.settings(objective, weight)
    model = pair_study.fine_tune(cached, made, shared_data, division, how)
    found = pair_study.study(model, cached, made)
    width = model.partition.foreground if model.partition else found.features.shape[-1]
    name = f"{objective} {weight:g}, backbone, {time.perf_counter() - start:.0f} s"
    return found, shown(name, division, found, width)


def shown(name: str, division: int, found: Study, width: int) -> float:
    """Print a row in percent; return reading minus null on unseen background photos."""
    read = [pair_study.readable(found, width, division, cut) for cut in ("unseen", "seen")]
    numbers = [x for each in read for x in (each["accuracy"], each["null"], each["accuracy"] - each["null"])]
    numbers += pair_study.kept(found, width, division).values()
    best = ", ".join(each["best"] for each in read)
    print(f"| {name}, division {division} ({best}) | {' | '.join(f'{100 * x:.1f}' for x in numbers)} |", flush=True)
    return read[0]["accuracy"] - read[0]["null"]
