"""`make bench`: a real backbone fine-tuned with `pair` and with `erm`, and what is then readable in new photos.

mobilenetv2_100 from its real weights, on guides of 140 foreground photos x 20 background photos; `erm` is read from all
features, `pair` from the foreground part. One division: see `pair_study`.
"""

import time

import pytest

from tests.support import pair_study

pytestmark = pytest.mark.bench
DIVISION = 1
CURVE = (0.0, 1.0, 10.0, 100.0)
ALL = 1280


def test_the_curve(shared_data):
    made = pair_study.guides(shared_data)
    cuts = [f"{cut} {name}" for cut in ("unseen", "seen") for name in ("reading", "null", "difference")]
    print(f"\n| objective | lambda | {' | '.join(cuts)} | class | same photo | own head |")
    left = {}
    for objective, weight in (("erm", 0.0), *(("pair", each) for each in CURVE)):
        start = time.perf_counter()
        model = pair_study.fine_tune(made, shared_data, DIVISION, pair_study.settings(objective, weight))
        found, width = pair_study.study(model, made), pair_study.FEATURES if model.partition else ALL
        read = {cut: pair_study.readable(found, width, DIVISION, cut) for cut in ("unseen", "seen")}
        kept = pair_study.kept(found, width, DIVISION)
        numbers = [
            100 * value
            for each in read.values()
            for value in (each["accuracy"], each["null"], each["accuracy"] - each["null"])
        ]
        shown = " | ".join(f"{value:.1f}" for value in (*numbers, *(100 * value for value in kept.values())))
        best = ", ".join(each["best"] for each in read.values())
        print(f"| {objective} | {weight:g} | {shown} | {best}, {time.perf_counter() - start:.0f} s", flush=True)
        left[objective, weight] = read["unseen"]["accuracy"] - read["unseen"]["null"], kept["same"]
    assert left["pair", 10.0][0] < 0.5 * left["erm", 0.0][0]
    assert left["pair", 10.0][0] < left["pair", 0.0][0]
