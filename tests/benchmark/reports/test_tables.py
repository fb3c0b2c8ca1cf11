"""Numbers as text: one rounding, in Python, whatever shows them."""

import io
import math
import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import benchmark
from benchmark.board.schema import rounded
from benchmark.reports import figures
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


def test_a_figure_in_a_page_is_laid_out_as_matplotlib_does():
    """`svg` lays figures out itself, without the spines: equal to what `savefig` makes of the figure with them."""
    rng = np.random.default_rng(0)

    def drawn():
        series = figures.Series("a model", *np.sort(rng.random((3, 4)) * 100, axis=0)[[1, 0, 2]], 50.0)
        curve = figures.Curve("a model", rng.integers(0, 90, 15), np.linspace(0, 1, 15), np.linspace(0, 0.9, 15))
        return figures.accuracies(["grass", "water", "a longer name", "sky"], [series]), figures.calibration(
            [curve], 30
        )

    def shown(text):
        """Return an SVG's content without the names of clips, which follow the last digit of where axes lie."""
        return re.sub(r"\bp[0-9a-f]{10}\b", "clip", text.split(">", 1)[1])

    for figure in drawn():
        made = figures.svg(figure, "title")
        assert shown(figures.svg(figure, "title")) == shown(made)
        for axes in figure.axes:
            for spine in axes.spines.values():
                spine.set_in_layout(True)
        sink = io.StringIO()
        with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "title"}):
            nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
            figure.savefig(sink, format="svg", transparent=True, metadata=nothing)
        whole = sink.getvalue()
        assert shown(made) == shown(whole[whole.index("<svg") :].replace("#010203", "currentColor"))


def test_the_title_of_a_horizontal_axis_lies_below_those_of_its_ticks_and_in_the_figure():
    shares = np.linspace(0, 100, 8).reshape(4, 2)
    for figure in (
        figures.ranked(["a model"], [shares.reshape(-1)]),
        figures.ranges(["(j)", "1"], [figures.Range("a model", shares[1], shares[0], shares[2], shares)], "share (j)"),
    ):
        figure.draw_without_rendering()
        (axes,) = figure.axes
        title = axes.xaxis.label.get_window_extent()
        ticks = [each.get_window_extent() for each in axes.get_xticklabels()]
        assert 0 < title.y0 < title.y1 < min(each.y0 for each in ticks)
