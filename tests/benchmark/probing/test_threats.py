"""Threat models: bags agree with brute force, queries average what noise hides, and nothing else."""

import numpy as np
import pytest

from benchmark import erasers
from benchmark.probing import threats
from tests.benchmark.erasers.test_erasers import head, rows


def drawn(seed: int = 0):
    """Probabilities that say a little of one of 4 labels, 12 photos of 9 images each."""
    rng = np.random.default_rng(seed)
    photo = np.repeat(np.arange(12), 9)
    labels = photo % 4
    logits = rng.normal(size=(108, 4)) + 0.7 * np.eye(4)[labels]
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True), labels, photo


def test_a_bag_of_all_images_of_a_photo_is_the_product_of_their_probabilities():
    probability, labels, photo = drawn()
    found = threats.bags(probability, labels, photo, 9).reshape(12, -1)
    expected = [np.prod(probability[photo == each], axis=0).argmax() == labels[photo == each][0] for each in range(12)]
    np.testing.assert_array_equal(found, np.repeat(np.array(expected)[:, None], found.shape[1], 1))


def test_larger_bags_read_more_and_bags_of_one_read_what_the_probe_reads():
    probability, labels, photo = drawn()
    single = threats.bags(probability, labels, photo, 1).mean()
    assert single == pytest.approx((probability.argmax(1) == labels).mean())
    read = [threats.bags(probability, labels, photo, count).mean() for count in (1, 3, 9)]
    assert read[0] < read[1] < read[2]


def test_a_bag_holds_images_of_one_photo_only_and_none_is_in_two():
    """Each image's probability marks it: images of photo p say label p / 12 rounded, and others of it the same."""
    _, labels, photo = drawn()
    certain = np.eye(4)[(photo + 1) % 4]
    assert not threats.bags(certain, labels, photo, 4).any()
    mixed = certain.copy()
    mixed[photo == 3] = np.eye(4)[3]
    right = threats.bags(mixed, labels, photo, 4)
    assert len(right) == 12 * 2 * 10
    assert right.reshape(12, -1).all(1).tolist() == [each == 3 for each in range(12)]
    assert len(threats.bags(certain, labels, photo, 10)) == 0


def test_queries_change_a_last_bit_each_and_average_noise_away():
    features, erase, keep = rows()
    eraser = erasers.fit("noise", features, erase, keep)
    limit = erasers.fit("noise", features, erase, keep, options=threats.noiseless())
    away = [np.square(each - limit(features)).mean() for each in (eraser(features), threats.queried(eraser, features))]
    assert away[1] == pytest.approx(away[0] / threats.COPIES, rel=0.15)
    seen = []
    threats.queried(lambda x: seen.append(x.copy()) or x, features, 4)
    for copy in seen:
        np.testing.assert_allclose(copy, features, rtol=2e-7)
    assert [(copy != features).any(0).sum() for copy in seen] == [0, 1, 1, 1]


@pytest.mark.parametrize("name", list(erasers.ERASERS))
def test_only_random_erasers_give_a_query_more(name):
    features, erase, keep = rows()
    eraser = erasers.fit(name, features, erase, keep, head=head())
    away = np.abs(threats.queried(eraser, features, 3) - eraser(features)).max()
    assert (away > 1e-2 * features.std()) == threats.is_random(name)


def test_an_eraser_without_strength_is_not_random():
    assert threats.is_random("noise")
    assert not threats.is_random("noise", {"strength": 0})
    assert not threats.is_random("code-answer")
    assert threats.is_random("code-answer", {"strength": 0.3})
