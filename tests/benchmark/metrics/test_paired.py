"""The same images twice: joined by key, changes against brute force, and the chain of controls."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_effectsize

from benchmark.metrics.accuracy import hits
from benchmark.metrics.paired import chain, changes, cohens_h, join, overall
from benchmark.schemas.predictions import take
from d3s_dataset.errors import ResultError
from d3s_dataset.taxonomy import background_names


def _altered(made, share: float, seed: int):
    """The same images, of which a share of the right ones become wrong."""
    wrong = np.random.default_rng(seed).random(len(made)) < share
    prediction = made.prediction.copy()
    prediction[wrong] = (made.foreground[wrong, None] + 1 + np.arange(5)) % 1000
    return replace(made, prediction=prediction)


@given(seed=st.integers(0, 1000), n=st.integers(2, 50))
@settings(max_examples=15, deadline=None)
def test_join_keeps_what_all_have(make_predictions, seed, n):
    made, rng = make_predictions(n=n, seed=seed), np.random.default_rng(seed)
    parts = [take(made, np.sort(rng.permutation(n)[: rng.integers(n // 2 + 1, n + 1)])[::-1]) for _ in range(2)]
    keys = [set(each.key) for each in parts]
    joined = join(parts, ["a", "b"])
    assert [list(each.key) for each in joined.tables] == [sorted(keys[0] & keys[1])] * 2
    assert joined.lacking == (len(keys[1] - keys[0]), len(keys[0] - keys[1]))
    assert (joined.tables[0].prediction == joined.tables[1].prediction).all()


def test_join_refuses_other_images(make_predictions):
    made = make_predictions()
    with pytest.raises(ResultError, match=r"no image in common between a and b: a has 0-0, b has 1-0") as caught:
        join([made, make_predictions(seed=1)], ["a", "b"])
    assert "\n" not in str(caught.value)
    with pytest.raises(ResultError, match="has another background in a than in b"):
        join([made, replace(made, background=(made.background + 1) % 10)], ["a", "b"])


@given(seed=st.integers(0, 1000), n=st.integers(1, 60))
@settings(max_examples=15, deadline=None)
def test_changes_are_those_of_a_loop(make_predictions, seed, n):
    before = make_predictions(n=n, seed=seed)
    after = _altered(before, 0.3, seed)
    found = changes(before, after, background_names())
    first, second = (hits(each.foreground, each.prediction) for each in (before, after))
    assert list(found) == [*background_names(), "all images"]
    for label, name in enumerate([*background_names(), "all images"]):
        own = before.background == label if label < 10 else np.ones(n, bool)
        each = found[name]
        assert each.n == own.sum()
        if not own.any():
            assert each.change is each.before is each.p is each.p_holm is None
            continue
        assert each.change == pytest.approx(second[own].mean() - first[own].mean())
        assert (each.gained, each.lost) == ((second & ~first)[own].sum(), (first & ~second)[own].sum())
        assert each.cohens_h == pytest.approx(proportion_effectsize(second[own].mean(), first[own].mean()), abs=1e-9)
        assert each.p_holm is None or each.p_holm >= each.p


def test_independent_images_agree_with_mcnemar(make_predictions):
    """Where every image has photos of its own, the clustered test is McNemar's, up to Student's degrees of freedom."""
    before = make_predictions(n=600, seed=5)
    own = np.array([f"p-{i}" for i in range(600)], dtype=object)
    before = replace(before, foreground_source=own, background_source=np.full(600, None, dtype=object))
    swapped = _altered(before, 0.04, 1)
    first, second = (hits(each.foreground, each.prediction) for each in (before, swapped))
    again = np.flatnonzero(~first)[:9]  # and some wrong ones become right
    swapped.prediction[again, 0] = swapped.foreground[again]
    second[again] = True
    table = [[(first & second).sum(), (first & ~second).sum()], [(~first & second).sum(), (~first & ~second).sum()]]
    expected = mcnemar(table, exact=False, correction=False).pvalue
    assert changes(before, swapped, background_names())["all images"].p == pytest.approx(expected, abs=0.01)


def test_the_board_s_test_is_that_of_all_images(make_predictions):
    """One p-value alone, without the backgrounds': the same, background photos drawn within each background."""
    made = make_predictions(n=400, n_foregrounds=30, n_backgrounds=40)
    after = _altered(made, 0.08, 1)
    before, right = (hits(each.foreground, each.prediction, 1) for each in (made, after))
    assert overall(before, right, made) == changes(made, after, background_names())["all images"].p


def test_cohens_h_at_the_ends():
    assert cohens_h(1, 0) == pytest.approx(np.pi)


def test_steps_of_the_chain_add_up(make_predictions):
    whole = make_predictions(n=400, n_foregrounds=40, n_backgrounds=20, p=0.9)
    tables = {"control_original_guides": whole}
    for seed, name in enumerate(("control_scale_guides", "control_scale", "default")):
        tables[name] = _altered(list(tables.values())[-1], 0.2, seed)
    tables["default"] = take(tables["default"], np.arange(380)[::-1])
    found = chain(tables, background_names(), "d3s")
    assert list(found) == ["paste and scale", "generator", "background", "all of it"]
    for name in (*background_names(), "all images"):
        *parts, total = (step[name].change for step in found.values())
        assert sum(parts) == pytest.approx(total)
        assert {step[name].n for step in found.values()} == {
            (whole.background[:380] == background_names().index(name)).sum() if name != "all images" else 380
        }
    assert all(step["all images"].p < 0.01 for step in found.values())


def test_a_chain_needs_a_step(make_predictions):
    made = make_predictions()
    given = {"default": made, "control_scale": made, "guides": made}
    assert list(chain(given, background_names(), "d3s")) == ["background"]
    with pytest.raises(
        ResultError, match=r"expected two configs of a step among control_original_guides, .*got default"
    ):
        chain({"default": made, "guides": made}, background_names(), "d3s")


def test_the_background_step_of_guides_starts_from_guides(make_predictions):
    """Of a release without a generator, and of the guides of one that has it; a step is never over two changes."""
    made = make_predictions(n=400, n_foregrounds=40, n_backgrounds=20, p=0.9)
    grey = _altered(made, 0.1, 0)
    last = _altered(grey, 0.3, 1)
    tables = {"control_original_guides": made, "control_scale_guides": grey, "default": last}
    for kind in ("guides", "sample"):
        found = chain(tables, background_names(), kind)
        assert list(found) == ["paste and scale", "background", "all of it"]
        first, second, total = (step["all images"].change for step in found.values())
        before, after = (hits(each.foreground, each.prediction).mean() for each in (grey, last))
        assert second == pytest.approx(after - before)
        assert first + second == pytest.approx(total)
    assert list(chain(tables, background_names(), "d3s")) == ["paste and scale", "all of it"]
    both = {"control_scale_guides": grey, "guides": last, "default": last, "control_scale": grey}
    assert list(chain(both, background_names(), "d3s")) == ["generator", "background", "background, on guides"]
