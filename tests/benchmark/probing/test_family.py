"""The best of a family of probes: chosen on held-out photos, with the choice inside the bootstrap; the online code."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.metrics.intervals import Sample
from benchmark.probing.codelength import codelength
from benchmark.probing.family import best_of, widened
from benchmark.probing.folds import CUTS, blocks
from benchmark.probing.leakage import Asked, photos_of
from benchmark.probing.readable import read_family
from benchmark.probing.targets import targets


def sample(photos: int) -> Sample:
    """As many held-out photos and test photos, each on two photos of each of three backgrounds."""
    foreground, background_photo = (each.ravel() for each in np.mgrid[: 2 * photos, :6])
    return Sample(foreground, background_photo, background_photo // 2, np.zeros_like(foreground), 1, np.ones((1, 1)))


def test_the_choice_is_made_on_held_out_rows_alone():
    rng = np.random.default_rng(0)
    held = {"a": rng.random(240) < 0.9, "b": rng.random(240) < 0.5}
    right = {"a": rng.random(240) < 0.3, "b": rng.random(240) < 0.8}
    found = best_of(held, right, sample(40))
    assert found.probe == "a"
    assert found.picked == 1
    assert found.wider == pytest.approx(1)


def test_a_choice_that_could_fall_otherwise_widens_the_interval():
    """Two probes alike on held-out rows of which one reads all test rows, the other few."""
    rng = np.random.default_rng(1)
    same = rng.random(240) < 0.5
    held = {"a": same, "b": rng.permutation(same)}
    found = best_of(held, {"a": np.arange(240) % 10 > 0, "b": np.arange(240) % 5 == 0}, sample(40))
    assert found.probe == "a"  # the first of equals
    assert 0.2 < found.picked < 0.8
    assert found.wider > 3
    assert widened(0.9, (0.85, 0.93), found.wider)[1] == 1.0
    low, high = widened(0.5, (0.45, 0.56), 2.0)
    assert (low, high) == (pytest.approx(0.4), pytest.approx(0.62))


def test_what_is_readable_is_the_best_reader_s_and_its_upper_bound_no_less(table):
    features = table(classes=6, backgrounds=4, templates=5)
    kind = np.random.default_rng(2).normal(size=(4, 24))[features.background]
    features = replace(features, values=(features.values + 0.5 * kind).astype(np.float32))
    ((wanted, rows),) = targets(features, "background", "unseen_background", [])
    asked = Asked(("knn", "lda"), null=4)
    readings, found = read_family(features, "all", features.values, wanted, rows, "unseen_background", asked)
    own = {each.probe: each for each in readings}
    assert found.probe == max(found.held, key=found.held.get)
    assert found.accuracy == own[found.probe].accuracy
    assert found.upper == max(each.accuracy for each in readings) >= found.accuracy
    assert found.ci95[0] <= own[found.probe].ci95[0]
    assert found.ci95[1] >= own[found.probe].ci95[1]
    assert found.null.repeats == (40 if found.probe == "lda" else 4)
    assert own["lda"].null.repeats == 40
    assert own["knn"].null is None
    assert found.null.mean == pytest.approx(0.25, abs=0.15)
    assert found.codelength < found.uniform == pytest.approx(np.log(4))
    _, without = read_family(features, "all", features.values, wanted, rows, "unseen_background", Asked(("lda",)))
    assert without.null is None


@pytest.mark.parametrize("name", CUTS)
def test_blocks_of_the_online_code_double_and_learn_on_what_came_before(table, name):
    features = table(classes=3, photos=8, backgrounds=4, templates=8)
    ((wanted, rows), *_) = targets(features, "background", name, [])
    photos = photos_of(features, wanted, rows)
    coded, before = np.zeros(rows.sum(), dtype=int), 0
    for fold in blocks(name, photos, wanted.labels[rows], 0):
        assert not coded[fold.test].any()
        assert not set(fold.train) & set(fold.test)
        assert len(fold.train) > before
        before = len(fold.train)
        coded[fold.test] += 1
        if name in ("unseen_background", "unseen_foreground"):
            source = getattr(photos, name.removeprefix("unseen_"))
            assert not set(source[fold.train]) & set(source[fold.test])
    assert coded.mean() > 0.7


def test_a_code_of_what_is_plain_is_short_and_of_noise_no_shorter_than_without_features(table):
    features = table(classes=4, backgrounds=4, templates=8)
    ((wanted, rows),) = targets(features, "background", "unseen_background", [])
    photos = photos_of(features, wanted, rows)
    told = 5 * np.random.default_rng(2).normal(size=(4, 24))[features.background]
    plain, noise = (
        codelength(values.astype(np.float32), wanted.labels, 4, photos, "unseen_background")
        for values in (features.values + told, features.values)
    )
    # A quarter of the photos are in the first block, which is coded uniformly.
    assert plain == pytest.approx(np.log(4) / 4, abs=0.02)
    assert noise == pytest.approx(np.log(4), abs=0.1)
