"""Power of a plan: its photos are those of its rows, and the command states the difference that they can show."""

import numpy as np
import pytest

from benchmark.metrics.statistics import effective
from generation.planning.power import lines, photos
from generation.run import main
from tests.support.releases import small_plan


@pytest.mark.parametrize("rows", [240, 777, 3600])
def test_photos_of_a_plan_are_those_of_its_rows(rows):
    plan = small_plan(rows)
    validation = list(plan.rows("validation", 0, plan.splits["validation"].rows))
    background, one = np.array([row.background for row in validation]), np.ones(len(validation))
    found = photos(plan)
    assert found is not None
    for each, group in zip(found, (background, np.zeros_like(background)), strict=True):
        for name, planned in (("foreground_source", each.foregrounds), ("background_source", each.backgrounds)):
            code = np.unique([getattr(row, name) for row in validation], return_inverse=True)[1]
            kish = effective(code, group, one, int(group.max()) + 1)
            assert kish.mean() == pytest.approx(planned, rel=0.1)


def test_a_larger_plan_shows_a_smaller_difference_and_a_tiny_one_none():
    assert lines(small_plan(60)) == []
    (small, assumed), (large, same) = (lines(small_plan(rows)) for rows in (3600, 36000))
    assert "none up to 13 points on one background (60 images)" in small
    assert "none" not in large
    assert "exactly one of the two is right on 13 % of the images" in assumed == same
    limited = lines(small_plan(36000), limit=3600)
    assert "(60 images)" in limited[0]


def test_plan_only_states_it(capsys):
    main(["--recipe", "sample", "--plan-only"])
    assert "smallest difference of two models in validation, 80 % power at 5 %" in capsys.readouterr().out
