"""Size, place and severity in the terminal's lines, a report's section, its tables and figures."""

from dataclasses import replace

import numpy as np
import pytest

from benchmark.metrics.compute import result_of
from benchmark.reports import factors
from benchmark.reports.inputs import Given
from benchmark.reports.page import drawn, page, report_of, tables
from benchmark.reports.text import failure_point, percent, table


@pytest.fixture(scope="module")
def varied(planted):
    """Two models on photos of two sizes and three levels."""

    def make(label, right):
        each = planted(label, right=right)
        n = len(each.predictions)
        order = np.arange(n)
        made = replace(
            each.predictions,
            size=np.where(order // 300, 0.5, 0.25).astype(np.float32),
            ladder=np.array([f"{i // 30}-{i % 10}" for i in order], dtype=object),
            severity=np.array([0.25, 0.5, 1.0], dtype=np.float32)[order // 10 % 3],
        )
        return replace(each, predictions=made, result=result_of(made, "here"))

    order = np.arange(600)
    return [make("one", order // 300 == 1), make("two", order // 10 % 3 < 2)]


def test_a_page_has_them_where_they_vary_and_not_where_they_do_not(varied, planted):
    text = page(Given(measured=varied), None).decode()
    for part in ('id="factors"', "Size, place and severity", "object size, share", "Failure points"):
        assert part in text
    assert 'id="factors"' not in page(Given(measured=[planted("one")]), None).decode()


def test_tables_hold_every_number(varied):
    report = report_of(Given(measured=varied))
    found = {each.name: each for each in tables(report)}
    assert {"size", "severity", "failures"} <= found.keys()
    assert "place" not in found
    by_size = {row[:2]: row for row in found["size"].rows}
    for each in varied:
        for name, cells in each.metrics.factors.size.by_background.items():
            assert by_size[each.label, name][2::2] == tuple(percent(cell.top1) for cell in cells.values())
    failed = {row[:2]: row for row in found["failures"].rows}
    assert failed["one", factors.ALL][2:5] == ("200", "100", "0.25")  # half fail at once, half never
    assert failed["two", factors.ALL][2:5] == ("200", "0", "1")
    assert {"size", "severity"} <= drawn(report).keys()


def test_the_terminal_says_each_on_one_line(varied):
    lines = table(varied[0].metrics).splitlines()
    (size,) = [line for line in lines if line.startswith("top-1 of the object")]
    assert "by size 0.25: 0.0, 0.50: 100.0 %; worst on a background (30 images or more): " in size
    (level,) = [line for line in lines if line.startswith("top-1 by severity")]
    assert "0.25: 50.0, 0.5: 50.0, 1: 50.0 %; median failure point 0.25" in level
    assert "100 of 200 ladders right at every level" in level


def test_a_failure_point_beyond_the_last_level_says_so(varied):
    whole = varied[0].metrics.severity.all_images
    assert failure_point(whole.model_copy(update={"failure_point": None, "ci95": (0.5, None)})) == (">1", "0.5 to >1")
