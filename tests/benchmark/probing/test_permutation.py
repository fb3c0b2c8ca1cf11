"""Permutation nulls: which photos exchange labels, what the difference and its interval are, and that they cover."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from benchmark.probing import leakage
from benchmark.probing.folds import CUTS, cut
from benchmark.probing.leakage import Asked, measure, nulls, photos_of, read_all
from benchmark.probing.permutation import Owners, compared, owners, permuted
from benchmark.probing.targets import targets


@pytest.mark.parametrize("name", CUTS)
@pytest.mark.parametrize("label", ["background", "foreground"])
def test_permuting_keeps_photos_whole_and_every_fold_as_many_photos_of_each_label(table, name, label):
    features = table(classes=6, photos=4, backgrounds=4, templates=5)
    for wanted, rows in targets(features, label, name, []):
        folds = cut(name, photos_of(features, wanted, rows), 0)
        found = permuted(owners(wanted.labels[rows], wanted.photo[rows], folds), 30, 0)
        assert found.shape == (30, rows.sum())
        changed = 0
        for labels in found:
            pairs = np.unique(np.stack([wanted.photo[rows], labels]), axis=1)
            assert pairs.shape[1] == len(np.unique(wanted.photo[rows]))  # one label per photo
            np.testing.assert_array_equal(np.bincount(labels), np.bincount(wanted.labels[rows]))
            changed += (labels != wanted.labels[rows]).mean()
            if label in name or name == "unseen_both":
                for fold in folds:
                    for part in (fold.test, fold.train[fold.held], fold.train[fold.learn]):
                        before = np.bincount(wanted.labels[rows][part], minlength=wanted.classes)
                        np.testing.assert_array_equal(np.bincount(labels[part], minlength=wanted.classes), before)
        assert changed / 30 > 0.5
        assert len(np.unique(found, axis=0)) == 30


def test_labels_that_permuting_would_only_rename_have_no_null(table):
    features = table(classes=6, photos=1, backgrounds=3)
    ((wanted, rows),) = targets(features, "foreground", "seen", [])
    folds = cut("seen", photos_of(features, wanted, rows), 0)
    assert permuted(owners(wanted.labels, wanted.photo, folds), 5, 0) is None
    asked = Asked(("lda",), null=5, control=False)
    assert measure(features, "all", features.values, wanted, rows, "seen", asked).readings[0].null is None
    one_label_per_part = Owners(np.arange(4), np.array([0, 0, 1, 1]), np.array([0, 0, 1, 1]))
    assert permuted(one_label_per_part, 5, 0) is None


def test_rows_without_a_photo_are_photos_of_their_own(table):
    features = replace(table(classes=3, photos=2, backgrounds=3, templates=2))
    photo = np.where(features.background == 0, -1, features.background_source)
    found = owners(features.background, photo, [])
    assert len(found.label) == (photo < 0).sum() + len(np.unique(photo[photo >= 0]))


def test_the_difference_its_interval_and_p():
    null = np.array([0.08, 0.12, 0.10, 0.10, 0.11, 0.09])
    found = compared(0.5, (0.42, 0.58), null)
    assert (found.mean, found.difference) == (pytest.approx(0.1), pytest.approx(0.4))
    assert found.p == pytest.approx(1 / 7)
    assert found.ci95[0] == pytest.approx(0.32, abs=0.01)
    assert found.ci95[1] == pytest.approx(0.48, abs=0.01)
    assert found.above == found.difference
    below = compared(0.02, (0.0, 0.05), null)
    assert below.p == 1
    assert below.above == 0
    assert below.ci95[1] < 0 < compared(0.11, (0.105, 0.115), null).ci95[1]
    single = compared(0.5, (0.42, 0.58), null[:1])
    assert single.ci95 == (None, None)
    assert single.p == 0.5
    assert compared(0.1, (0.1, 0.1), np.full(20, 0.1)).ci95 == (pytest.approx(0), pytest.approx(0))


@pytest.mark.parametrize("accuracy", [0.02, 0.08, 0.13, 0.2, 0.6])
@pytest.mark.parametrize("half", [0.01, 0.05])
def test_zero_is_within_exactly_if_the_null_could_have_given_the_reading(accuracy, half):
    from scipy.stats import t

    null = np.random.default_rng(0).normal(0.1, 0.03, 20)
    found = compared(accuracy, (accuracy - half, accuracy + half), null)
    reach = t.ppf(0.975, 19) * null.std(ddof=1) * np.sqrt(1 + 1 / 20)
    assert (found.ci95[0] <= 0 <= found.ci95[1]) == (abs(accuracy - null.mean()) <= reach)
    assert found.ci95[0] <= found.difference <= found.ci95[1]


def test_of_many_permutations_the_quantiles_decide():
    """A skewed null: what a symmetric interval would let pass at its short end, and stop at its long one."""
    null = np.random.default_rng(0).exponential(0.05, 199)
    low, high = np.sort(null)[[4, 194]]  # 2.5 and 97.5 % of 200
    for accuracy in (low - 1e-4, low + 1e-4, 0.05, high - 1e-4, high + 1e-4):
        found = compared(accuracy, (accuracy - 1e-3, accuracy + 1e-3), null)
        assert (found.ci95[0] <= 0 <= found.ci95[1]) == (low <= accuracy <= high)


def without_effect(table, photos: int, seed: int, effect: float = 0.0):
    """Ten backgrounds of so many photos: an effect of each photo, none of its background but `effect`."""
    features = table(classes=3, photos=1, backgrounds=10, templates=photos, size=16, seed=seed)
    rng = np.random.default_rng((7, seed))
    own = rng.normal(size=(10 * photos, 16))[features.background_source]
    kind = effect * rng.normal(size=(10, 16))[features.background]
    return replace(features, values=(features.values + 2 * own + kind).astype(np.float32))


def readings(table, photos: int, repeats: int, effect: float = 0.0, null: int = 20):
    found = []
    for seed in range(repeats):
        features = without_effect(table, photos, seed, effect)
        ((wanted, rows),) = targets(features, "background", "unseen_background", [])
        asked = Asked(("lda",), seed=seed, null=null, control=False)
        found.append(measure(features, "all", features.values, wanted, rows, "unseen_background", asked).readings[0])
    return found


def covered(found) -> int:
    return sum(each.null.ci95[0] <= 0 <= each.null.ci95[1] for each in found)


def test_a_reading_without_an_effect_is_like_its_null_and_a_planted_effect_is_found(table):
    found = readings(table, 3, 8, null=2)
    assert covered(found) >= binom.ppf(0.001, 8, 0.95)
    assert all(each.null.repeats == 2 * leakage.CLOSED for each in found)
    for each in readings(table, 3, 1, effect=3.0):
        assert each.null.p == pytest.approx(1 / 201)
        assert each.null.ci95[0] > 0.1


@pytest.mark.long
@pytest.mark.parametrize("photos", [3, 8, 30])
def test_the_interval_of_the_difference_holds_0_in_93_to_97_percent(table, photos):
    """Features with effects of photos and none of backgrounds; within what the repeats can tell of 93 and 97 %."""
    repeats, found = {3: 150, 8: 100, 30: 30}[photos], []
    for seed in range(repeats):
        features = without_effect(table, photos, seed)
        ((wanted, rows),) = targets(features, "background", "unseen_background", [])
        folds = cut("unseen_background", photos_of(features, wanted, rows), seed)
        real = read_all(features.values, wanted.labels, folds, 10, Asked(("lda",), seed))["lda"]
        changed = permuted(owners(wanted.labels, wanted.photo, folds), 60, seed)
        null, accuracy = nulls(features.values, changed, folds, real.again).mean(1), float(real.right.mean())
        found.append(compared(accuracy, (accuracy, accuracy), null))  # whether 0 is within hangs on the null alone
    share = sum(each.ci95[0] <= 0 <= each.ci95[1] for each in found) / repeats
    assert binom.ppf(0.025, repeats, 0.93) / repeats <= share <= binom.ppf(0.975, repeats, 0.97) / repeats
    assert sum(each.p <= 0.05 for each in found) <= binom.ppf(0.999, repeats, 0.05)
