"""The order of the erasers on real features holds: what the table in README rests on."""

import pytest

from tests.support.eraser_study import background_split, divide, fit, kept, leakage, study

pytestmark = pytest.mark.long


def test_band_and_noise_leave_less_to_read_than_leace_and_keep_the_photo(shared_data):
    real = study(shared_data)
    first, probe, test = divide(4, 70, 70, 60)
    seen, _ = background_split(real, "seen", 4)
    fitted = {name: fit(real, name, first, seen) for name in ("none", "leace", "band", "noise")}
    found = {name: leakage(real, eraser, probe, test, "seen", 4) for name, eraser in fitted.items()}
    read = {name: each for name, (each, _) in found.items()}
    left = {name: kept(real, fitted[name], test, 4) for name in ("none", "band", "noise")}
    assert read["leace"]["mlp"] > 0.7 < read["none"]["linear"]  # probes that read what is there
    assert read["band"]["linear"] < 0.7 * read["leace"]["linear"]
    assert read["band"]["mlp"] < 0.4 * read["leace"]["mlp"]
    assert read["band"]["knn"] < 0.7 * read["leace"]["knn"]
    assert read["noise"]["linear"] < 0.55 * read["leace"]["linear"]
    assert "mlp" in found["noise"][1]  # below the linear probe: what it reads is no bound of what can be read
    assert left["noise"]["class"] > left["none"]["class"] - 0.01
    assert left["noise"]["recall"] > left["none"]["recall"]
    assert left["noise"]["head"] > left["none"]["head"] - 0.02
    assert left["band"]["class"] > left["none"]["class"] - 0.03
    assert left["band"]["recall"] > left["none"]["recall"]
    assert left["band"]["head"] > 0.6 * left["none"]["head"]
