"""What leaks and what is kept, on features whose answer is known."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from benchmark import erasers
from benchmark.inference.features import Head
from benchmark.models.training_record import Partition
from benchmark.probing import erasure, probes, tradeoff
from benchmark.probing.erasure import Erasing
from benchmark.probing.leakage import Asked, measure, share
from benchmark.probing.probes import mlp
from benchmark.probing.retention import kept, same_photo
from benchmark.probing.targets import target, targets
from d3s_dataset.errors import ResultError

LINEAR = Asked(("linear",))


def only(features, label, cut, asked=LINEAR):
    (wanted, rows), *_ = targets(features, label, cut, [])
    (found,) = measure(features, "all", features.values, wanted, rows, cut, asked).readings
    return found


def with_photos(features, way: str, strength: float = 4.0):
    """Add a random direction of its own to each photo: nothing of its kind."""
    codes = getattr(features, f"{way}_source")
    own = np.random.default_rng(1).normal(size=(codes.max() + 1, features.values.shape[1]))
    return replace(features, values=(features.values + strength * own[codes]).astype(np.float32))


def test_a_probe_that_knows_photos_is_told_from_one_that_knows_their_kind(table):
    features = with_photos(table(size=40), "background")
    seen, unseen = (only(features, "background", cut) for cut in ("seen", "unseen_background"))
    assert seen.accuracy > 0.95
    assert seen.control > 0.95  # random labels of photos are read as well
    assert abs(seen.selectivity) < 0.05
    assert unseen.accuracy < 0.5
    assert unseen.control is None
    assert unseen.selectivity is None
    kind = np.random.default_rng(2).normal(size=(4, 40))[features.background]
    told = only(
        replace(features, values=(features.values + 6 * kind).astype(np.float32)), "background", "unseen_background"
    )
    assert told.accuracy > 0.95
    assert told.ci95[0] < told.accuracy <= told.ci95[1]


def test_backgrounds_differ_by_no_chance_and_the_fewest_photos_of_one_raise_doubt(table):
    """Half of the backgrounds are always told, the others never: the share does not hang on which photos were drawn."""
    features = table(backgrounds=10)
    rows = np.arange(len(features.key))
    found = share(features.background % 2 == 0, features, rows)
    assert found.value == 0.5
    assert found.ci95[1] - found.ci95[0] < 0.12  # that of 360 images; 0.4 where photos of all are one sample
    assert "fewer than 30 effective background photos" in found.doubts  # 3 of each, 30 in all
    single = replace(features, background_source=features.background)
    wide = share(features.background % 2 == 0, single, rows)
    assert wide.ci95[1] - wide.ci95[0] > 0.4
    assert "fewer than 30 effective background photos" in wide.doubts
    many = table(classes=2, backgrounds=2, templates=40)
    shown = np.flatnonzero((many.background == 1) | (many.background_source == 0))
    assert (
        "fewer than 30 effective background photos" in share(many.background[shown] == 1, many, shown).doubts
    )  # one of the first


def test_an_unfinished_control_is_not_passed_over(table, monkeypatch):
    """The control alone stops early: the reading has not converged and says which fit did not."""
    fit, labels = probes.fit, []

    def stopping(kind, values, truth, *others, **given):
        labels.append(truth)
        found = fit(kind, values, truth, *others, **given)
        return found if len(labels) < 2 else replace(found, report=replace(found.report, converged=False))

    monkeypatch.setattr(probes, "fit", stopping)
    found = only(table(), "background", "seen")
    assert len(labels) == 2  # one fold and its control
    assert not found.converged
    assert found.endings[0].startswith("control, ")


def test_a_network_below_the_linear_probe_has_not_converged(table, monkeypatch):
    """A network that stops after its first epoch, as if there were no more to find."""
    monkeypatch.setattr(mlp, "_BETTER", 10.0)
    features = table(classes=6, backgrounds=4, templates=5)
    kind = np.random.default_rng(2).normal(size=(4, 24))[features.background]
    features = replace(features, values=(features.values + kind).astype(np.float32))
    (wanted, rows), *_ = targets(features, "background", "seen", [])
    for kinds in (("mlp", "linear"), ("mlp",), ("linear", "knn", "mlp")):
        asked = Asked(kinds, control=False)
        found = {
            each.probe: each for each in measure(features, "all", features.values, wanted, rows, "seen", asked).readings
        }
        assert list(found) == list(kinds)
        if "linear" not in kinds:
            assert found["mlp"].converged
            continue
        assert found["linear"].converged
        assert found["mlp"].accuracy < found["linear"].accuracy - 0.02
        assert not found["mlp"].converged
        assert "below the linear probe on the same rows" in found["mlp"].endings[0]
    with pytest.raises(ResultError, match=r"mlp probe did not converge .*below the linear probe on the same rows"):
        tradeoff.leakage(features.values, features, "mlp", 0)
    right, none = tradeoff.leakage(features.values, features, "linear", 0)
    assert none.shape == (0,)
    assert right.mean() == pytest.approx(only(features, "background", "unseen_background").accuracy)


def test_what_is_not_there_is_not_read(table):
    features = table()
    for label in ("foreground", "background"):
        found = only(features, label, "unseen_background")
        assert found.accuracy < 2.5 * found.chance
        assert found.information < 0.05
        assert found.information_ci95[0] <= 0


def test_information_is_a_lower_bound_on_a_known_case(table):
    """Two backgrounds, one feature at +m or -m with unit noise: I(X; Y) = H(Y) - E[H(Y | X)] by integration."""
    features, m = table(classes=20, backgrounds=2, templates=20, size=1), 1.0
    sign = 2.0 * features.background - 1
    found = only(
        replace(features, values=(features.values + m * sign[:, None]).astype(np.float32)), "background", "seen"
    )

    def entropy(x: float) -> float:
        p = 1 / (1 + np.exp(-2 * m * x))
        return -(p * np.log(p) + (1 - p) * np.log(1 - p)) * (norm.pdf(x, m) + norm.pdf(x, -m)) / 2

    truth = np.log(2) - quad(entropy, -12, 12)[0]
    assert found.entropy == pytest.approx(np.log(2), abs=1e-2)
    assert found.information_ci95[0] <= truth <= found.information_ci95[1]
    assert found.information == pytest.approx(truth, abs=0.04)


def test_classes_with_few_photos_are_read_as_superclasses_and_the_notes_say_so(table):
    features, notes = table(classes=60, photos=1), []
    # Classes 0, 5, ... 295: fish, birds, reptiles, dogs, carnivores.
    ((wanted, rows),) = targets(features, "foreground", "unseen_foreground", notes)
    assert wanted.name == "superclass"
    assert wanted.classes >= 3
    assert set(np.unique(wanted.labels[rows])) == set(range(wanted.classes))
    assert "60 of 60 classes have fewer than 3 photos" in notes[0]
    (found,) = measure(features, "all", features.values, wanted, rows, "unseen_foreground", LINEAR).readings
    assert found.label == "superclass"


def test_a_split_with_one_class_or_one_background_is_refused(table):
    features = table()
    for label in ("foreground", "background"):
        single = replace(features, **{label: np.zeros_like(features.background)})
        with pytest.raises(ResultError, match=f"nothing to read: all 432 images have the same {label}"):
            target(label, single)


def test_the_nearest_on_another_background_is_found_as_by_a_plain_loop(table):
    features = with_photos(table(classes=4), "foreground", 0.6)
    found = same_photo(features.values, features.foreground_source, features.background)
    unit = features.values / np.linalg.norm(features.values, axis=1, keepdims=True)
    for i, right in enumerate(found):
        others = np.flatnonzero(features.background != features.background[i])
        best = others[np.argmax(unit[others] @ unit[i])]
        assert right == (features.foreground_source[best] == features.foreground_source[i])
    assert 0.2 < found.mean() < 1


def test_the_answer_in_place_of_the_features_passes_the_head_and_fails_the_neighbour(table):
    features = with_photos(table(), "foreground")
    weight = np.random.default_rng(3).normal(size=(60, 24)).astype(np.float32)
    head = Head(weight, np.zeros(60, np.float32))
    answer = head(features.values).argmax(1)
    features = replace(features, head=Head(np.eye(60, dtype=np.float32), np.zeros(60, np.float32)), foreground=answer)
    one_hot = np.eye(60, dtype=np.float32)[answer]
    found = kept(features, "all", one_hot, np.arange(len(answer)))
    assert found.head.value == 1
    before = same_photo(features.values, features.foreground_source, features.background).mean()
    assert found.recall.value < before - 0.3


def test_an_eraser_sees_its_own_photos_only_and_the_three_sets_share_none(table, monkeypatch):
    features, seen = table(classes=18, photos=3, backgrounds=3), []
    kind = np.random.default_rng(2).normal(size=(3, 24))[features.background]
    features = replace(with_photos(features, "foreground"), partition=Partition(foreground=20, background=4))
    features = replace(features, values=(features.values + 3 * kind).astype(np.float32))
    fit = erasers.fit

    def watched(name, values, erase, keep, **others):
        seen.append((values, keep))
        return fit(name, values, erase, keep, **others)

    monkeypatch.setattr(erasers, "fit", watched)
    tested = []
    measure = erasure.measure
    monkeypatch.setattr(erasure, "measure", lambda *args: tested.append(args) or measure(*args))
    found, *_ = erasure.erasures(Erasing("leace"), features, LINEAR, [])
    assert sum(found.photos) == 54
    assert max(found.photos) - min(found.photos) <= 1
    values, keep = seen[0]
    assert values.shape[1] == 20
    assert len(np.unique(keep)) == found.photos[0]
    for *_, folds in tested[:1]:
        for fold in folds:
            sides = [set(features.foreground_source[each]) for each in (fold.train, fold.test)]
            assert not sides[0] & sides[1]
            assert not (sides[0] | sides[1]) & set(keep)


def test_on_unseen_backgrounds_neither_eraser_nor_probe_has_seen_the_photos_of_the_test(table, monkeypatch):
    features, seen, tested = table(classes=18, photos=1, backgrounds=3, templates=3), [], []
    fit, measure = erasers.fit, erasure.measure

    def watched(name, values, erase, keep, **others):
        seen.append((values, erase))
        return fit(name, values, erase, keep, **others)

    monkeypatch.setattr(erasers, "fit", watched)
    monkeypatch.setattr(erasure, "measure", lambda *args: tested.append(args) or measure(*args))
    found, *_ = erasure.erasures(Erasing("leace", "photo", ("unseen",)), features, LINEAR, [])
    assert (found.cut, found.erase_label) == ("unseen", "photo")
    (values, erase), (fold,) = seen[0], tested[0][-1]
    photos = [set(features.background_source[each]) for each in (fold.train, fold.test)]
    assert not photos[0] & photos[1]
    assert [len(each) for each in photos] == [6, 3]
    assert set(erase) == photos[0]
    assert len(values) == 6 * found.photos[0]
    held = set(features.background_source[fold.train[fold.held]])
    assert held
    assert not held & set(features.background_source[fold.train[fold.learn]])


def test_erasing_lowers_what_a_linear_probe_reads_on_other_photos(table):
    features = table(classes=4, photos=9, backgrounds=3, templates=3, size=16)
    kind = np.random.default_rng(2).normal(size=(3, 16))[features.background]
    features = replace(features, values=(features.values + 2 * kind).astype(np.float32))
    found, *_ = erasure.erasures(Erasing("leace"), features, LINEAR, [])
    raw, erased = (next(each for each in side if each.cut == "unseen_foreground") for side in (found.raw, found.erased))
    assert raw.accuracy > 0.9
    assert erased.accuracy < 0.55
    assert (raw.n, raw.label) == (erased.n, erased.label)
    assert found.rank < found.size == 16
