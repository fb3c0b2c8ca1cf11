"""The command that states the smallest difference that images can show."""

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmark.compare import compare
from benchmark.power import main
from benchmark.schemas import result
from benchmark.schemas.predictions import write
from d3s_dataset.utils.power import detectable, planned


@pytest.fixture
def save(make_predictions, tmp_path, provenance):
    def save(name: str, wrong: float = 0.0, **facts):
        made = make_predictions(n=900, n_foregrounds=90, n_backgrounds=40)
        hit = np.random.default_rng(1).random(900) < wrong
        prediction = np.where(hit[:, None], np.roll(made.prediction, 1, axis=1), made.prediction)
        made = replace(made, prediction=prediction, provenance=provenance(name=name, n=900, **facts))
        write(tmp_path / f"{name}.parquet", made)
        return tmp_path / f"{name}.parquet"

    return save


def rows_of(line: list, capsys) -> dict:
    main([*map(str, line), "--json"])
    return json.loads(capsys.readouterr().out)["power"]


def test_of_a_plan_it_is_the_formula_and_its_assumptions_are_stated(capsys):
    assumed = ["--foreground-correlation", 0.1, "--background-correlation", 0.2, "--discordance", 0.3]
    rows = rows_of(["--n", 20000, "--background-photos", 100, *assumed], capsys)
    one, every = planned(20000, 10, 2000, 100)
    assert one.effect((0.1, 0.2)) == pytest.approx(1 + 0.2 * 19)
    assert every.effect((0.1, 0.2)) == pytest.approx(1 + 0.1 * 9 + 0.2 * 19)
    for name, each in zip(("each background", "all images"), (one, every), strict=True):
        plain = detectable(each.images, 0.3, each.effect((0.1, 0.2)), each.freedom)
        assert rows[name]["detectable"] == each.detectable(0.3, (0.1, 0.2)) == pytest.approx(plain, rel=0.03)
    main(["--n", "20000"])
    shown = capsys.readouterr().out
    assert "2,000 foreground photos, 30 background photos per background" in shown
    assert "exactly one of the two is right on 13 % of the images" in shown


def test_of_two_results_it_is_that_of_their_comparison(save, capsys):
    paths = save("a"), save("b", 0.2)
    rows = rows_of(paths, capsys)
    changes = compare(*paths).changes
    assert list(rows) == list(changes)
    for name, each in changes.items():
        assert rows[name]["detectable"] == each.detectable
        assert rows[name]["n"] == each.n
        assert rows[name]["discordance"] == pytest.approx((each.gained + each.lost) / each.n)
    total = changes["all images"]
    half = (total.ci95[1] - total.ci95[0]) / 2
    assert 1.2 * half < total.detectable < 1.6 * half  # 1.96 + 0.84 standard errors, where the interval has 1.96


def test_of_one_result_the_discordance_is_assumed(save, capsys):
    path = save("a")
    few, many = (rows_of([path, "--discordance", share], capsys)["all images"] for share in (0.1, 0.4))
    assert few["effect"] == many["effect"] >= 1
    assert few["detectable"] < many["detectable"]
    main([str(path)])
    assert "discordance is assumed" in capsys.readouterr().out


def test_models_that_never_differ_show_nothing(save, capsys):
    assert rows_of([save("a"), save("b")], capsys)["all images"]["detectable"] is None


def test_a_comparison_of_version_1_is_read(save):
    fields = compare(save("a"), save("b", 0.2)).model_dump(mode="json") | {"schema_version": 1}
    for each in fields["changes"].values():
        del each["detectable"]
    found = result.Comparison.model_validate(fields)
    assert found.schema_version == 2
    assert found.changes["all images"].detectable is None


def test_bad_input_is_one_line(save, fails, tmp_path):
    path = str(save("a"))
    none = "expected one or two results, or --n N; got 0 results"
    assert none in fails(main, [])
    assert "--n is for images that are not there yet" in fails(main, [path, "--n", "100"])
    assert "got 3 results" in fails(main, [path] * 3)
    assert "expected 20 images or more, two on each background, got 19" in fails(main, ["--n", "19"])
    assert "--discordance is measured on two results" in fails(main, [path, path, "--discordance", "0.1"])
    assert "--foreground-correlation goes with --n" in fails(main, [path, "--foreground-correlation", "0"])
    assert "no predictions at" in fails(main, [str(tmp_path / "none.parquet")])
    assert "have other backgrounds" in fails(main, [path, str(save("c", backgrounds=["grass"] * 10))])
