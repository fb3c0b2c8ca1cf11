"""The order of the erasers on real features holds: what the table in README rests on."""

import pytest

from tests.eraser_study import behind, divide, fit, kept, leakage, study

pytestmark = pytest.mark.long


def test_band_leaves_less_to_read_than_leace_and_keeps_the_photo(shared_data):
    real = study(shared_data)
    first, probe, test = divide(4, 70, 70, 60)
    seen, _ = behind(real, "seen", 4)
    fitted = {name: fit(real, name, first, seen) for name in ("none", "leace", "band")}
    read = {name: leakage(real, eraser, probe, test, "seen", 4) for name, eraser in fitted.items()}
    left = {name: kept(real, fitted[name], test, 4) for name in ("none", "band")}
    assert read["leace"]["mlp"] > 0.7 < read["none"]["linear"]  # probes that read what is there
    assert read["band"]["linear"] < 0.7 * read["leace"]["linear"]
    assert read["band"]["mlp"] < 0.4 * read["leace"]["mlp"]
    assert read["band"]["knn"] < 0.7 * read["leace"]["knn"]
    assert left["band"]["class"] > left["none"]["class"] - 0.03
    assert left["band"]["recall"] > left["none"]["recall"]
    assert left["band"]["head"] > 0.6 * left["none"]["head"]
