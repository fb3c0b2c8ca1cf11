"""`make bench`: what probes say of real features before and after an eraser; the table in README, from scratch."""

from pathlib import Path

import numpy as np
import pytest
import torch

from benchmark.inference.features import Features, Head
from benchmark.probing.erasure import Erasing, erasures
from benchmark.probing.folds import cut
from benchmark.probing.leakage import Asked, measure, photos_of
from benchmark.probing.probes import logistic
from benchmark.probing.targets import targets
from benchmark.schemas.experiments import Reading, Share
from tests.support.eraser_study import READERS, study

pytestmark = pytest.mark.bench
CUTS = ("unseen_background", "seen")
STRENGTHS = tuple(10.0**power for power in range(-5, 3))


@pytest.fixture(scope="module")
def features(shared_data: Path) -> Features:
    """All guides as the features of a split; photos and images are known by their numbers."""
    real = study(shared_data)
    photos, templates, size = real.features.shape
    foregrounds, backgrounds = (each.ravel() for each in np.mgrid[:photos, :templates])
    return Features(
        values=real.features.reshape(-1, size),
        key=np.array([f"{i:06d}" for i in range(photos * templates)], dtype=object),
        foreground=real.foreground[foregrounds],
        background=real.background[backgrounds],
        foreground_source=foregrounds,
        background_source=backgrounds,
        head=Head(real.weight, real.bias),
        partition=None,
        model=None,  # pyright: ignore[reportArgumentType] - provenance, which no reading looks at
        dataset=None,  # pyright: ignore[reportArgumentType]
        made=None,  # pyright: ignore[reportArgumentType]
    )


def shown(name: str, found: Reading | Share) -> str:
    value, (low, high) = (found.accuracy, found.ci95) if isinstance(found, Reading) else (found.value, found.ci95)
    control = f"; random labels {100 * found.control:.1f}" if isinstance(found, Reading) and found.control else ""
    return f"{name}: {100 * value:.1f} ({100 * low:.1f} to {100 * high:.1f}){control}"


def test_what_each_probe_reads(features):
    print()
    for name in CUTS:
        ((wanted, rows),) = targets(features, "background", name, [])
        found = measure(features, "all", features.values, wanted, rows, name, Asked(READERS)).readings
        for each in found:
            weak = "" if each.converged else f"; not converged: {each.endings[0]}"
            print(shown(f"background by {each.probe}, {name}", each) + weak, each.doubts, flush=True)
            assert each.converged or each.probe == "mlp"  # which may be below the linear probe
        assert found[0].accuracy > 0.6


def test_how_much_hangs_on_the_photos_left_out(features):
    """Each fold of unseen background photos, a linear probe of each strength: its lowest and highest accuracy."""
    ((wanted, rows),) = targets(features, "background", "unseen_background", [])
    for fold in cut("unseen_background", photos_of(features, wanted, rows), 0):
        mean, scale = features.values[fold.train].mean(0), features.values[fold.train].std(0)
        learn, test = (
            torch.from_numpy((features.values[part] - mean) / (scale + (scale == 0)))
            for part in (fold.train, fold.test)
        )
        truth, start, right = torch.from_numpy(wanted.labels[fold.train]), None, []
        for l2 in reversed(STRENGTHS):
            start = logistic.solve(learn, truth, wanted.classes, l2, start).weights
            made = torch.addmm(start[-1], test, start[:-1]).argmax(1).numpy()
            right.append(float((made == wanted.labels[fold.test]).mean()))
        print(
            f"\na fold, L2 from {STRENGTHS[0]:g} to {STRENGTHS[-1]:g}: {min(right):.3f} to {max(right):.3f}", flush=True
        )
        assert min(right) > 0.3


def test_leace_under_the_rule_of_three_sets(features):
    (found, *_) = erasures(Erasing("leace"), features, Asked(("linear",)), [])
    print(f"\nleace, {found.photos} photos, rank {found.rank}")
    for name in ("raw", "erased"):
        for each in getattr(found, name):
            print(shown(f"{name}: {each.label}, {each.cut}", each), each.doubts)
        kept = getattr(found, f"{name}_kept")
        print(shown(f"{name}: same photo nearest", kept.recall), shown("own head", kept.head))
    assert found.erased[0].accuracy < 0.6 * found.raw[0].accuracy
