"""Where a model looks, on networks that look at a known place, and through the command to the report."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from benchmark import report, run
from benchmark.cache.cache import Options
from benchmark.data.split import Rows, open_split
from benchmark.inference.evaluate import Subject, measure_one
from benchmark.inference.occlusion import GRID, _Covered, attribute
from benchmark.metrics.attribution import ALL, attributions, cells_on, share_on_object
from benchmark.models.custom import from_network
from d3s_dataset.errors import ReleaseError

SIDE = 64
BOX = {"left": 0, "top": 0, "right": SIDE // 2, "bottom": SIDE}  # the left half


@pytest.fixture(scope="module")
def halves(make, tmp_path_factory):
    """Noise, whose object is the left half: 20 photos, each on five backgrounds with photos of their own."""
    rng = np.random.default_rng(0)
    rows = [
        make.record(
            i, make.jpeg(rng.integers(0, 255, (SIDE, SIDE, 3)).astype(np.uint8)), i // 5, i % 5, box=BOX,
            foreground_source=f"f{i // 5}", background_source=f"b{i % 5}-{i // 25}",
        )
        for i in range(100)
    ]  # fmt: skip
    return make.write_release(tmp_path_factory.mktemp("halves") / "d3s", {"validation": rows})


class Looks(nn.Module):
    """A network that is the surer the stronger the pixels of some columns depart from their mean."""

    def __init__(self, columns: slice) -> None:
        super().__init__()
        self.columns, self.scale = columns, nn.Parameter(torch.tensor(20.0))

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        seen = (pixels[..., self.columns] - pixels.mean((2, 3), keepdim=True)).abs().mean((1, 2, 3))
        return torch.cat([self.scale * seen[:, None], torch.zeros(len(pixels), 999)], 1)


def picture(image):
    return torch.from_numpy(np.asarray(image, dtype=np.float32)).permute(2, 0, 1) / 255


def looked(release, columns, count=12):
    subject = Subject("looks", loaded=from_network("looks", Looks(columns), picture, {}))
    split = open_split(release, "default", "validation")
    options = Options("fp32", compile=False)
    return attribute(subject, split, measure_one(subject, split, options, 0.0)[1], count, options)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [(slice(0, SIDE // 2), 1.0), (slice(SIDE // 2, SIDE), 0.0), (slice(0, SIDE), 0.5)],
    ids=["at the object", "at the rest", "everywhere"],
)
def test_the_share_is_where_a_network_looks(halves, columns, expected):
    found = looked(halves, columns)
    whole = found.attributions[ALL]
    # Covering a cell also moves the mean that the network takes off: a hundredth.
    assert whole.share == pytest.approx(expected, abs=0.03)
    assert whole.area == pytest.approx(0.5)
    assert whole.n == 60
    assert all(each.n == 12 for name, each in found.attributions.items() if name != ALL and each.n)
    assert whole.ci95[0] <= whole.share <= whole.ci95[1]


def test_the_same_photos_are_taken_on_every_background(halves):
    split = open_split(halves, "default", "validation")
    photos = dict(zip(split.key.astype(str), split.column("foreground_source"), strict=True))
    by_background: dict[int, set[str]] = {}
    for each in looked(halves, slice(0, SIDE), 3).images:
        by_background.setdefault(each.background, set()).add(photos[each.key])
    assert len(by_background) == 5
    assert len(set(map(frozenset, by_background.values()))) == 1


def test_cells_and_shares_by_hand():
    np.testing.assert_allclose(cells_on(np.array([0, 0, 3, 4]), (4, 4), 2), [[1, 0.5], [1, 0.5]])
    assert cells_on(np.array([10, 20, 30, 60]), (100, 80), GRID).sum() / GRID**2 == pytest.approx(20 * 40 / 8000)
    drop = np.array([[0.4, 0.2], [-0.3, 0.2]])  # a rise counts as none
    assert share_on_object(drop, np.array([[1, 0.5], [1, 0.5]])) == pytest.approx((0.4 + 0.1 + 0.1) / 0.8)
    assert np.isnan(share_on_object(-np.abs(drop), np.ones((2, 2))))


def test_images_that_nothing_lowers_are_counted_and_left_out(halves):
    split = open_split(halves, "default", "validation")
    subject = Subject("looks", loaded=from_network("looks", Looks(slice(0, SIDE)), picture, {}))
    images = measure_one(subject, split, Options("fp32", compile=False), 0.0)[1]
    shares = np.where(images.background == 2, np.nan, 0.25)
    found = attributions(shares, np.full(100, 0.5), images, split.manifest.backgrounds)
    names = split.manifest.backgrounds
    assert (found[names[2]].n, found[names[2]].undefined, found[names[2]].share) == (0, 20, None)
    assert (found[names[0]].n, found[names[0]].undefined, found[names[0]].share) == (20, 0, 0.25)
    assert (found[ALL].n, found[ALL].undefined) == (80, 20)


def test_the_command_writes_it_and_the_report_shows_it(halves, small, tmp_path, capsys, fails):
    line = ["--model", f"local-dir:{small}", "--dataset", str(halves), "--attribution", "2", "--out", str(tmp_path)]
    run.main(line)
    shown = capsys.readouterr().out
    assert "where it looks, by occlusion of 8 x 8 cells" in shown
    (found,) = tmp_path.glob("*-attribution.json")
    (result,) = (path for path in tmp_path.glob("*.json") if path != found)
    assert str(found) in shown
    assert len(json.loads(found.read_text())["images"]) == 10
    report.main([str(result), str(found), "--dataset", str(halves), "--out", str(tmp_path / "r.html")])
    page = (tmp_path / "r.html").read_text()
    assert "Where the models look" in page
    assert page.count('<svg viewBox="0 0 8 8"') == 10
    assert (tmp_path / "r-attribution.csv").read_text().startswith("model,background,n,")
    alone = fails(report.main, [str(found), "--out", str(tmp_path / "r.html")])
    assert "expected the model's result on the same images too" in alone


def test_a_split_without_boxes_is_one_line(halves, tmp_path):
    import pyarrow.parquet as pq

    split = open_split(halves, "default", "validation")
    table = pq.read_table(split.paths[0]).drop_columns(["box"])
    path = tmp_path / "shard.parquet"
    pq.write_table(table, path)
    from dataclasses import replace

    with pytest.raises(ReleaseError, match="lacks the columns box"):
        replace(split, paths=(path,)).boxes()


def test_an_image_that_cannot_be_read_is_named(make, tmp_path):
    release = make.write_release(tmp_path / "d3s", {"validation": [make.record(7, b"no picture", 0, 0, box=BOX)]})
    split = open_split(release, "default", "validation")
    with pytest.raises(ReleaseError, match=r"\.parquet: image 0{19}7 cannot be read"):
        next(_Covered(Rows(split, np.array([0])), GRID).images())
