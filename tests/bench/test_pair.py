"""`make bench`: a real backbone fine-tuned with `erm` and with `pair`, and what is then readable in new photos.

mobilenetv2_100 from its real weights, on guides of 140 foreground photos x 20 background photos; see `pair_study`. All
features of `erm`, the foreground part of `pair` for the whole backbone, and that of a neck with `pair` on the features
of `erm`, for several weights. One division.
"""

import time

import pytest

from tests.support import pair_study
from tests.support.eraser_study import Study

pytestmark = pytest.mark.bench
DIVISION = 1
CURVE = (0.0, 1.0, 10.0, 100.0)


def test_the_curve(shared_data):
    made = pair_study.guides(shared_data)
    cuts = [f"{cut} {name}" for cut in ("unseen", "seen") for name in ("reading", "null", "difference")]
    print(f"\n| trained | {' | '.join(cuts)} | class | same photo | own head |")
    found, left = {}, {}
    for objective, weight in (("erm", 0.0), ("pair", 10.0)):
        start = time.perf_counter()
        model = pair_study.fine_tune(made, shared_data, DIVISION, pair_study.settings(objective, weight))
        found[objective] = pair_study.study(model, made)
        width = model.partition.foreground if model.partition else found[objective].features.shape[-1]
        left[objective] = shown(f"{objective}, backbone, {time.perf_counter() - start:.0f} s", found[objective], width)
    necks = {}
    for weight in CURVE:
        neck, width = pair_study.neck(found["erm"], DIVISION, weight)
        necks[weight] = shown(f"erm, then a neck with pair {weight:g}", neck, width)
    assert necks[10.0] < 0.5 * left["erm"]


def shown(name: str, found: Study, width: int) -> float:
    """Print a row in percent; return reading minus null on unseen background photos."""
    read = [pair_study.readable(found, width, DIVISION, cut) for cut in ("unseen", "seen")]
    numbers = [x for each in read for x in (each["accuracy"], each["null"], each["accuracy"] - each["null"])]
    numbers += pair_study.kept(found, width, DIVISION).values()
    best = ", ".join(each["best"] for each in read)
    print(f"| {name} ({best}) | {' | '.join(f'{100 * value:.1f}' for value in numbers)} |", flush=True)
    return read[0]["accuracy"] - read[0]["null"]
