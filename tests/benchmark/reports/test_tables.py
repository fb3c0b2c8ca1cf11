"""Numbers as text: one rounding, in Python, whatever shows them."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import benchmark
from benchmark.board.schema import rounded
from benchmark.reports.text import between, percent, points, ratio


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2025, "20.2"),
        (0.3035, "30.4"),
        (0.20251, "20.3"),
        (0.0005, "0.0"),
        (1, "100.0"),
        (None, "-"),
        (math.nan, "-"),
    ],
)
def test_ties_go_to_the_even_digit(value, text):
    """0.3035 is 30.349999999999998 when multiplied; 0.2025 is shown as 20.3 by JavaScript's toFixed."""
    assert percent(value) == text


def test_signs_and_small_numbers():
    assert [points(each) for each in (0.2025, -0.2025, -0.0001, 0.0, None)] == ["+20.2", "-20.2", "+0.0", "+0.0", "-"]
    assert [ratio(each) for each in (0.125, -0.125, 12.3, -1e-9)] == ["0.12", "-0.12", "12.30", "0.00"]
    assert between((0.2025, 0.3035)) == "20.2 to 30.4"


@given(value=st.floats(-1, 1))
def test_a_number_and_the_same_read_from_a_board_look_alike(value):
    for show in (percent, points, ratio):
        assert show(value) == show(rounded(value))
    assert float(percent(value)) == pytest.approx(100 * value, abs=0.05 + 1e-4)


def test_no_page_rounds_a_number_that_it_shows():
    """Scripts and templates get text; what they compute are sums, orders and the strength of colours."""
    paths = sorted((Path(benchmark.__file__).parent / "reports" / "templates").iterdir())
    assert paths
    for path in paths:
        found = re.findall(r"toFixed|toPrecision|toLocaleString|NumberFormat|Math\.round|\|round", path.read_text())
        assert found == [], path.name
