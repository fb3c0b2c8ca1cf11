"""The area under the risk-coverage curve against loops over all orders of ties."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.metrics.calibration import area_under_risk_coverage


def by_hand(confidence, right):
    """The mean over every order that confidence allows of the mean risk over coverages."""
    areas = []
    for order in permutations(range(len(right))):
        ordered = [confidence[i] for i in order]
        if ordered == sorted(ordered, reverse=True):
            wrong = np.cumsum([not right[i] for i in order])
            areas.append(np.mean(wrong / np.arange(1, len(right) + 1)))
    return np.mean(areas)


@given(rows=st.lists(st.tuples(st.sampled_from([0.1, 0.5, 0.9]), st.booleans()), min_size=1, max_size=6))
@settings(deadline=None, max_examples=60)
def test_it_is_the_mean_over_all_orders_of_ties(rows):
    confidence, right = (np.array(column) for column in zip(*rows, strict=True))
    found = area_under_risk_coverage(confidence, right, np.zeros(len(rows), int), 1)[0]
    assert found == pytest.approx(by_hand(confidence.tolist(), right.tolist()))


def test_confidence_that_ranks_errors_last_is_better_than_one_that_ranks_them_first():
    confidence, right = np.array([0.9, 0.8, 0.2]), np.array([True, True, False])
    zero = np.zeros(3, int)
    assert area_under_risk_coverage(confidence, right, zero, 1)[0] == pytest.approx((1 / 3) / 3)
    assert area_under_risk_coverage(1 - confidence, right, zero, 1)[0] == pytest.approx((1 + 1 / 2 + 1 / 3) / 3)
    assert area_under_risk_coverage(confidence, ~np.array([False] * 3), zero, 1)[0] == 0
    assert np.isnan(area_under_risk_coverage(confidence, right, zero, 2)[1])
