"""The report's files, and what it says where something is missing."""

import csv
import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from benchmark import report
from benchmark.data.split import open_split
from benchmark.metrics.calibration import BINS, calibration_curve, calibration_error
from benchmark.reports.drops import drops
from benchmark.reports.inputs import divide, read
from benchmark.schemas import predictions, result
from d3s_dataset.manifest import to_json
from tests.benchmark.board import features
from tests.benchmark.board.conftest import answers, provenance, refused, written


@pytest.fixture
def two(measured, tmp_path):
    return [measured(tmp_path / "results", name, 0.5, seed) for seed, name in enumerate(["one", "two|<b>"])]


def test_everything_beside_the_page(two, release, tmp_path):
    out = tmp_path / "shown" / "report.html"
    report.main([*map(str, two), "--out", str(out), "--dataset", str(release)])
    made = {path.name for path in out.parent.iterdir()}
    assert {"report.html", "report.md", "report-headline.csv", "report-backgrounds.csv"} <= made
    assert {f"report-{name}.png" for name in ("backgrounds", "calibration", "classes")} <= made
    text = out.read_text()
    assert "<b>" not in text.replace("<body>", "")
    assert "http://" not in text.replace('xmlns="http://www.w3.org', "").replace('xlink="http://www.w3.org', "")
    assert "https://" not in text
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert len(data["mistakes"]) == 120
    assert all(each.startswith("data:image/jpeg;base64,") for each in data["images"].values())
    assert sum(sum(right) for _, _, right in data["classes"][0]) == 60
    assert "two\\|&lt;b&gt;" in (out.parent / "report.md").read_text()


@pytest.fixture
def four(controlled, tmp_path):
    """Two runs with the same weights and other arguments, each on a release and a control; right on 40 and 20 of 40."""

    def write(config, kwargs, accuracy, **facts):
        split = open_split(controlled, config, "validation")
        made = split.predictions(answers(split.foreground, accuracy, 0))
        return written(tmp_path, replace(made, provenance=provenance(split.facts(), "toy", kwargs=kwargs, **facts)))

    plan = [("default", {}, 0.5), ("default", {"pad": 1}, 0.5), ("control_scale", {}, 0.5)]
    return SimpleNamespace(write=write, paths=[*(write(*each) for each in plan), write("control_scale", {"pad": 1}, 1)])


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 0, 3, 2)])
def test_each_run_is_set_against_its_own_controls(four, order):
    about, controls = divide(read([four.paths[each] for each in order]).measured)
    found = {each.label: each.by_background["all images"].change for each in drops(about, controls)}
    assert found == {"toy (no arguments)": 0, "toy (pad=1)": -0.5}


def test_controls_of_another_run_are_refused(four, tmp_path):
    out = ["--out", tmp_path / "report.html"]
    other = four.write("control_scale", {}, 1, precision="bf16")
    said = refused(report.main, *four.paths[:3], other, *out)
    assert said.startswith("toy (no arguments; bf16) on config control_scale: expected the result of the same run")
    part = result.read(four.paths[2])
    moved = part.dataset.model_copy(update={"release": "9" * 64})
    made = predictions.read(four.paths[2].with_suffix(".parquet"))
    path = written(tmp_path / "moved", replace(made, provenance=provenance(moved, "toy")))
    assert "expected files of one release" in refused(report.main, four.paths[0], path, *out)
    assert "different configs" in refused(report.main, four.paths[0], four.paths[2], copied(four.paths[2]), *out)


def copied(path):
    for ending in (".json", ".parquet"):
        shutil.copy(path.with_suffix(ending), path.with_name(f"copy{ending}"))
    return path.with_name("copy.json")


def test_a_chain_of_another_run_needs_its_own_results(four, tmp_path):
    chain = tmp_path / "chain.json"
    found = result.read(four.paths[0])
    of_run = result.Chain(model=found.model, datasets=[found.dataset], steps={})
    chain.write_bytes(to_json(of_run))
    said = refused(report.main, four.paths[1], chain, "--out", tmp_path / "report.html")
    assert "is computed from results on control sets: expected them too" in said


def test_the_gallery_is_second_and_contents_list_what_there_is(four, two, tmp_path):
    out = tmp_path / "report.html"
    report.main([*map(str, four.paths), "--out", str(out)])
    text = out.read_text()
    listed = re.findall(r'<li><a href="#([a-z]+)">', text)
    assert listed[:4] == ["errors", "drop", "backgrounds", "pulls"]
    assert re.findall(r'<h2 id="([a-z]+)">', text) == listed
    assert text.count('class="finding"') == 3  # two models, and the difference between them
    assert "when the background alone changes" in text
    made = {path.name for path in tmp_path.iterdir()}
    assert {f"report-{name}.csv" for name in ("drops", "differences", "differences-backgrounds", "calibration")} <= made
    assert {f"report-{name}.png" for name in ("drop", "changes", "class-changes")} <= made
    report.main([str(two[0]), "--out", str(out)])
    text = out.read_text()
    assert 'id="models"' not in text
    assert "python -m benchmark.run --model one --dataset DIR_OR_REPO --config control_scale" in text


def test_without_images_it_says_so(two, tmp_path):
    report.main([str(two[0]), "--out", str(tmp_path / "report.html")])
    text = (tmp_path / "report.html").read_text()
    assert "Without pictures: the release was not named" in text
    assert "Not measured on ImageNet" in text
    assert "No results on control sets" in text


@pytest.fixture
def of_features(two, tmp_path):
    """A probe, the same with an eraser, a correlation and a sweep on the images of the results."""
    facts = result.read(two[0]).dataset
    made = {
        "probe": features.probed(facts),
        "erased": features.probed(facts, "leace"),
        "aligned": features.correlation(facts),
        "sweep": features.sweep(facts),
    }
    for name, each in made.items():
        (tmp_path / f"{name}.json").write_bytes(to_json(each))
    return [tmp_path / f"{name}.json" for name in made]


def cells(text, heading):
    """Return what stands in the cells of the first table after a heading, row by row."""
    table = re.search(rf"{heading}.*?<tbody>(.*?)</tbody>", text, re.DOTALL)[1]
    return [
        [" ".join(re.sub(r"<[^>]*>", " ", each).split()) for each in re.findall(r"<t[dh].*?</t[dh]>", row, re.DOTALL)]
        for row in table.split("</tr>")[:-1]
    ]


def rows_of(path):
    with path.open() as stream:
        return list(csv.reader(stream))


def test_probes_correlation_and_sweep_in_any_order(two, of_features, tmp_path):
    out = tmp_path / "shown" / "report.html"
    probe, erased, aligned, sweep = map(str, of_features)
    report.main([sweep, erased, str(two[0]), probe, aligned, str(two[1]), "--out", str(out)])
    text = out.read_text()
    assert "where 2 models fail" in text
    assert text.count("Probes: foreground and background from features</h2>") == 1
    assert text.count("<h3>split|&lt;i&gt;</h3>") == 2  # once for both probes, once for the correlation
    assert cells(text, 'id="probes"') == [
        ["foreground linear", "90.0 85.0 to 95.0 chance 10.0 control 12.5 1.25 of 2.30 nats",
         "30.0* 25.0 to 35.0 chance 10.0 1.25 of 2.30 nats"],
        ["background linear", "30.0 25.0 to 35.0 chance 10.0 control 12.5 1.25 of 2.30 nats",
         "90.0* 85.0 to 95.0 chance 10.0 1.25 of 2.30 nats"],
    ]  # fmt: skip
    assert cells(text, "leace, raw and erased") == [
        ["background from foreground linear, unseen foreground",
         "35.0* 30.0 to 40.0 chance 10.0 control 12.5 1.25 of 2.30 nats",
         "15.0* 10.0 to 20.0 chance 10.0 control 12.5 1.25 of 2.30 nats"]
    ]  # fmt: skip
    erased_rows = rows_of(out.with_name("report-erased.csv"))
    assert erased_rows[1][-8:] == ["35.0", "30.0 to 40.0", "12.5", "1.25", "15.0", "10.0 to 20.0", "12.5", "1.25"]
    assert "Test images share background photos with the train split" in text
    assert "share foreground photos" not in text
    assert text.count("<svg") == 5
    made = {path.name for path in out.parent.iterdir()}
    assert {f"report-{name}.csv" for name in ("probes", "readable", "erased", "kept", "correlation", "sweep")} <= made
    assert {"report-correlation-1.png", "report-sweep-1.png"} <= made
    method_rows = rows_of(out.with_name("report-correlation.csv"))
    assert method_rows[-1][1:] == ["foreground part", "95.0 (93.0 to 97.0)", "70.0 (68.0 to 72.0)",
                                 "-25.0 (-27.0 to -23.0)", "+20.0 (+18.0 to +22.0)", "60.0 (58.0 to 62.0)", "70.0",
                                 "dog, conflicting"]  # fmt: skip
    assert [row[-1] for row in rows_of(out.with_name("report-sweep.csv"))[1:]] == ["yes", "", "yes"]
    kept = rows_of(out.with_name("report-kept.csv"))
    assert [row[2] for row in kept[1:]] == ["raw", "raw", "raw, test photos only", "erased: leace"]
    row = "| 10 | 80.0 (78.0 to 82.0) | 30.0 (28.0 to 32.0) | - | - | - | - | yes |"
    assert row in out.with_suffix(".md").read_text()


def test_features_alone_and_on_another_release(two, of_features, tmp_path):
    out = tmp_path / "report.html"
    report.main([*map(str, of_features), "--out", str(out)])
    text = out.read_text()
    assert "<h1>toy: probes of features</h1>" in text
    assert "another release than above" not in text
    assert not (tmp_path / "report-headline.csv").exists()
    other = result.read(two[0]).dataset.model_copy(update={"name": "other", "digest": "9" * 64})
    of_features[0].write_bytes(to_json(features.probed(other)))
    report.main([str(two[0]), str(of_features[0]), "--out", str(out)])
    assert "other, config default, split validation, 120 images; another release than above, digest 9999" in (
        out.read_text()
    )


def test_a_file_of_an_unknown_kind(two, tmp_path):
    odd, out = tmp_path / "odd.json", ["--out", tmp_path / "report.html"]
    for content in ('{"changes": {}}', "[1]", "null"):
        odd.write_text(content)
        said = refused(report.main, two[0], odd, *out)
        assert said.startswith(f"{odd} is nothing that a report shows: expected a JSON file that benchmark.run, ")
    odd.write_text("{")
    assert "odd.json cannot be read as a result" in refused(report.main, two[0], odd, *out)
    odd.write_text('{"points": []}')
    assert "odd.json cannot be read as a result: model: Field required" in refused(report.main, odd, *out)


def test_a_chain_says_what_its_results_say(two, tmp_path):
    found, out = result.read(two[0]), ["--out", str(tmp_path / "report.html")]
    chain = result.Chain(model=found.model, datasets=[found.dataset], steps={})
    (tmp_path / "chain.json").write_bytes(to_json(chain))
    report.main([str(two[0]), *out])
    without = (tmp_path / "report.html").read_bytes()
    report.main([str(tmp_path / "chain.json"), str(two[0]), *out])
    assert (tmp_path / "report.html").read_bytes() == without
    other = found.model.model_copy(update={"digest": "9" * 64})
    (tmp_path / "chain.json").write_bytes(to_json(chain.model_copy(update={"model": other})))
    said = refused(report.main, tmp_path / "chain.json", two[0], *out)
    assert (
        said
        == f"{tmp_path / 'chain.json'} is computed from results on control sets: expected them too, all of its model's"
    )


def test_a_release_without_errors_to_picture_is_refused(of_features, release, tmp_path, capsys):
    with pytest.raises(SystemExit):
        report.main([str(of_features[3]), "--out", str(tmp_path / "report.html"), "--dataset", str(release)])
    assert "--dataset gives pictures to results of benchmark.run, and none is" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_bad_input(two, tmp_path, toy, measured):
    out = ["--out", tmp_path / "report.html"]
    assert "holds other images" in refused(report.main, two[0], *out, "--dataset", toy)
    again = tmp_path / "again.json"
    for ending in (".json", ".parquet"):
        shutil.copy(two[0].with_suffix(ending), again.with_suffix(ending))
    assert "each model once" in refused(report.main, two[0], again, *out)
    said = json.loads(two[0].read_bytes())
    said["dataset"]["digest"] = "0" * 64
    two[0].write_text(json.dumps(said))
    assert "is of another dataset" in refused(report.main, *two, *out)
    made = predictions.read(two[0].with_suffix(".parquet"))
    predictions.write(
        two[0].with_suffix(".parquet"), replace(made, provenance=made.provenance | {"dataset": said["dataset"]})
    )
    assert "expected results on the same images" in refused(report.main, *two, *out)
    two[1].with_suffix(".parquet").unlink()
    assert "no predictions at" in refused(report.main, two[1], *out)
    assert "no result at" in refused(report.main, tmp_path / "none.json", *out)


def test_the_curve_holds_the_calibration_error(make_predictions):
    made = make_predictions(200)
    right = made.foreground == made.prediction[:, 0]
    size, sure, accuracy = calibration_curve(made.probability[:, 0], right)
    assert size.sum() == 200
    assert len(size) == BINS
    gaps = [n * abs(one - other) for n, one, other in zip(size, sure, accuracy, strict=True) if n]
    whole = calibration_error(made.probability[:, 0], right, made.background * 0, 1)[0]
    assert sum(gaps) / 200 == pytest.approx(whole)
