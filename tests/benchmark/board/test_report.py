"""The report's files, and what it says where something is missing."""

import json
import shutil

import pytest

from benchmark import report
from benchmark.calibration import BINS, calibration_curve, calibration_error
from tests.benchmark.board.conftest import refused


@pytest.fixture
def two(measured, tmp_path):
    return [measured(tmp_path / "results", name, 0.5, seed) for seed, name in enumerate(["one", "two|<b>"])]


def test_everything_beside_the_page(two, release, tmp_path):
    out = tmp_path / "shown" / "report.html"
    report.main([*map(str, two), "--out", str(out), "--dataset", str(release)])
    made = {path.name for path in out.parent.iterdir()}
    assert {"report.html", "report.md", "report-headline.csv", "report-backgrounds.csv"} <= made
    assert {f"report-{name}.png" for name in ("backgrounds", "calibration", "classes-1", "classes-2")} <= made
    text = out.read_text()
    assert "<b>" not in text.replace("<body>", "")
    assert "http://" not in text.replace('xmlns="http://www.w3.org', "").replace('xlink="http://www.w3.org', "")
    assert "https://" not in text
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert len(data["mistakes"]) == 120
    assert all(each.startswith("data:image/jpeg;base64,") for each in data["images"].values())
    assert sum(sum(right) for _, _, right in data["classes"][0]) == 60
    assert "two\\|&lt;b>" in (out.parent / "report.md").read_text()


def test_without_images_it_says_so(two, tmp_path):
    report.main([str(two[0]), "--out", str(tmp_path / "report.html")])
    text = (tmp_path / "report.html").read_text()
    assert "Without pictures: the release was not named" in text
    assert "Not measured on ImageNet" in text
    assert "No results on control sets" in text


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
