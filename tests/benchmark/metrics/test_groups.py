"""Groups keep the labels' order and their empty members."""

import numpy as np
import pytest

from benchmark.metrics.groups import by_background, by_foreground
from benchmark.schemas.text import codes
from d3s_dataset.errors import ResultError
from d3s_dataset.taxonomy import background_names, classes


def test_groups_are_the_labels_with_names(make_predictions):
    made = make_predictions()
    groups = by_background(made, background_names())
    assert groups.names == background_names()
    np.testing.assert_array_equal(groups.labels, made.background)
    assert len(by_foreground(made)) == 1000
    assert by_foreground(made).names[517] == classes()[517].name


def test_a_background_without_a_name_is_refused(make_predictions):
    with pytest.raises(ResultError, match=r"background labels in 0\.\.1 \(here, there\), got 5"):
        by_background(make_predictions(), ("here", "there"))


def test_codes_are_sorted_and_keep_none_apart():
    values = np.array(["b", None, "a", "b"], dtype=object)
    assert codes(values).tolist() == [1, -1, 0, 1]
    assert codes(np.array([None, None], dtype=object)).tolist() == [-1, -1]
    assert codes(np.array([], dtype=object)).tolist() == []
