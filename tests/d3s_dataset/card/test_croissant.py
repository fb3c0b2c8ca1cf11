"""croissant.json through mlcroissant itself: it is valid, and the rows that it describes are the release's."""

import hashlib
import json
import shutil
from collections import Counter

import mlcroissant
import numpy as np
import pytest

from d3s_dataset.card import croissant
from d3s_dataset.check import check_release
from d3s_dataset.manifest import read, to_json
from d3s_dataset.schema import CONFIGS, Ballot, Record
from d3s_dataset.taxonomy import classes
from tests.support.releases import decoded, rows_of

# Rdflib's own parser, which mlcroissant calls, and pandas 3 under mlcroissant.
pytestmark = [
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The inplace keyword in DataFrame.reset_index is deprecated"),
]

# Croissant recommends a date; a release's files depend on none.
DATE = 'Property "https://schema.org/datePublished" is recommended, but does not exist.'


def valid(jsonld) -> mlcroissant.Dataset:
    """Return a data set that mlcroissant has nothing to say about, but that it has no date; it raises for an error."""
    dataset = mlcroissant.Dataset(jsonld=jsonld)
    issues = dataset.metadata.ctx.issues
    assert not issues.errors
    assert [text.endswith(DATE) for text in issues.warnings] == [True]
    return dataset


@pytest.mark.parametrize("fixture", ["sample_release", "guides_release"])
def test_mlcroissant_validates_a_release_and_reads_its_rows(fixture, request):
    release = request.getfixturevalue(fixture)
    held = rows_of(release)
    dataset = valid(release / croissant.FILE_NAME)
    seen = Counter()
    for row in dataset.records("default"):
        key = row["default/key"].decode()
        wanted = held[key]
        seen[row["default/split"].decode()] += 1
        assert row["default/foreground"] == wanted["foreground"]
        assert row["default/background"] == wanted["background"]
        assert row["default/prompt"].decode() == wanted["prompt"]
        assert row["default/box"] == {f"default/box/{side}": value for side, value in wanted["box"].items()}
        assert row["default/strength"] is None
        if seen.total() % 25 == 1:
            assert np.array_equal(np.asarray(row["default/image"]), decoded(wanted))
    manifest = read(release)
    assert seen == {split: manifest.rows("default", split) for split in manifest.splits()}
    names = {row["foregrounds/label"]: row["foregrounds/name"] for row in dataset.records("foregrounds")}
    assert names == {i: each.name for i, each in enumerate(classes())}
    assert [row["backgrounds/name"] for row in dataset.records("backgrounds")] == manifest.backgrounds


def test_every_file_has_its_checksum(sample_release):
    held = json.loads((sample_release / croissant.FILE_NAME).read_text())
    files = {each["contentUrl"]: each for each in held["distribution"] if each["@type"] == "cr:FileObject"}
    there = {path.relative_to(sample_release).as_posix(): path for path in sample_release.rglob("*.parquet")}
    assert files.keys() == there.keys()
    for name, path in there.items():
        content = path.read_bytes()
        assert files[name]["sha256"] == hashlib.sha256(content).hexdigest()
        assert files[name]["contentSize"] == f"{len(content)} B"


def test_mlcroissant_finds_what_is_wrong(sample_release):
    held = json.loads((sample_release / croissant.FILE_NAME).read_text())
    del held["distribution"][0]["sha256"]
    with pytest.raises(mlcroissant.ValidationError, match="sha256"):
        mlcroissant.Dataset(jsonld=held)


def test_every_config_is_a_record_set_with_its_columns(sample_release):
    manifest = read(sample_release)
    shard = manifest.shards[0]
    more = [
        shard.model_copy(update={"config": name, "path": f"{name}/train-00000-of-00001.parquet"})
        for name in CONFIGS
        if name != "default"
    ]
    wide = manifest.model_copy(update={"kind": "d3s", "shards": [*manifest.shards, *more]})
    held = json.loads(croissant.to_bytes(wide))
    valid(held)
    assert held["name"] == "D3S"
    sets = {each["@id"]: {field["@id"] for field in each["field"]} for each in held["recordSet"]}
    for config in CONFIGS:
        columns = (Ballot if config == "votes" else Record).__dataclass_fields__
        assert sets[config] == {f"{config}/{name}" for name in ("split", *columns)}


def test_what_is_not_d3s_is_called_so(sample_release, guides_release):
    names = [json.loads((each / croissant.FILE_NAME).read_text())["name"] for each in (sample_release, guides_release)]
    assert names == [
        "sample: drawn sample, not D3S",
        "paper-guides: guides (no model has redrawn them), not D3S",
    ]


def edit(release, name, change):
    path = release / name
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("croissant.json", lambda text: text.replace(b"ladybug", b"ladybird"), "croissant.json: differs from"),
        ("croissant.json", lambda text: text[:-5], "croissant.json: differs from"),
        ("contact_sheet.jpg", lambda text: text[:100], "contact_sheet.jpg: "),
        ("README.md", lambda text: text + b"[x](../../secret)", "../../secret: "),
    ],
)
def test_damage_to_what_the_card_links_to_is_found(sample_release, tmp_path, name, change, says):
    copy = shutil.copytree(sample_release, tmp_path / "d3s")
    edit(copy, name, change)
    (problem,) = check_release(copy)
    assert problem.startswith(says)


def test_what_is_missing_is_found_where_the_card_links_to_it(sample_release, tmp_path):
    copy = shutil.copytree(sample_release, tmp_path / "d3s")
    names = (croissant.FILE_NAME, "contact_sheet.jpg")
    for name in names:
        (copy / name).unlink()
    assert sorted(problem.partition(":")[0] for problem in check_release(copy)) == sorted(names)
    (copy / "manifest.json").write_bytes(to_json(read(copy)))
    edit(copy, "README.md", lambda text: text.replace(b"](c", b"](https://example.org/c"))  # as an older card
    assert check_release(copy) == []
