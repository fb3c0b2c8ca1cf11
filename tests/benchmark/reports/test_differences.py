"""Differences between the models of a report: those of `benchmark.compare`, Holm-corrected over all pairs."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from benchmark.compare import compare
from benchmark.reports.differences import MOST_PAIRED, by_background, differences, table
from benchmark.reports.drops import ALL
from benchmark.reports.headline import between_models
from benchmark.schemas import predictions
from d3s_dataset.taxonomy import background_names


def test_two_models_as_in_compare_to_the_last_digit(scene, tmp_path):
    one, two = scene.about
    for each in (one, two):
        predictions.write(tmp_path / f"{each.label}.parquet", each.predictions)
    expected = compare(tmp_path / "two.parquet", tmp_path / "one.parquet").changes
    found = differences([two, one])
    assert [(each.better, each.other) for each in found] == [("one", "two")]
    assert found[0].changes == expected


def test_three_models_are_corrected_over_pairs(planted):
    models = [planted(f"m{place}", share) for place, share in enumerate((0.4, 0.5, 0.9))]
    found = differences(models)
    assert [(each.better, each.other) for each in found] == [("m2", "m1"), ("m2", "m0"), ("m1", "m0")]
    p = np.array([[cell.p for cell in each.changes.values()] for each in found])
    holm = np.array([[cell.p_holm for cell in each.changes.values()] for each in found])
    np.testing.assert_allclose(holm[:, -1], multipletests(p[:, -1], method="holm")[1])
    np.testing.assert_allclose(holm[:, :-1].ravel(), multipletests(p[:, :-1].ravel(), method="holm")[1])


def test_of_many_models_each_is_compared_with_the_best(planted):
    models = [planted(f"m{place}", 0.3 + 0.05 * place) for place in range(MOST_PAIRED + 1)]
    assert [each.better for each in differences(models)] == [f"m{MOST_PAIRED}"] * MOST_PAIRED
    assert differences(models[:1]) == []


def test_as_text_a_better_model_is_positive(scene):
    found = differences(scene.about)
    row = table(found).rows[0]
    assert row[:6] == ("one", "two", "600", "75.0", "50.0", "+25.0")
    cells = dict(by_background(found, background_names()).rows)
    assert cells["grass"].startswith("-20.0 (")
    assert cells["road"].startswith("+30.0 (")
    assert cells["road"].endswith(", differs")
    said = between_models(found)
    assert said.startswith("one is 25.0 points better than two (600 images, 95 % interval +")
    assert between_models([]) is None


@pytest.mark.parametrize("share", [0.5, 0.51])
def test_models_that_do_not_differ(planted, share):
    found = differences([planted("a", share), planted("b", 0.5)])
    assert "do not differ measurably" in between_models(found)
    assert found[0].changes[ALL].p_holm > 0.05
