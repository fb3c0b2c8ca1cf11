"""A release of somebody else: nothing outside its folder is read, nothing hangs, every command ends in one line."""

import io
import json
import os
import shutil
import struct
import zlib

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmark.data.split import open_split
from d3s_dataset.builder import D3S
from d3s_dataset.check import check_release
from d3s_dataset.errors import ReleaseError
from d3s_dataset.identity import file_digest
from d3s_dataset.load import load
from d3s_dataset.manifest import read
from d3s_dataset.sheet import contact_sheet
from generation.execution.options import How
from generation.publish.staging import outgoing, stage
from generation.release.build import generate
from generation.verify.prepare.images import open_release
from tests.support.releases import small_plan

SHARD = "data/validation-00000-of-00001.parquet"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    out = tmp_path_factory.mktemp("small") / "d3s"
    generate(small_plan(60), out, How(50, workers=1))
    return out


@pytest.fixture
def copy(small, tmp_path):
    return shutil.copytree(small, tmp_path / "d3s")


def edit(release, change):
    path = release / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def shard(manifest, name=SHARD):
    return next(each for each in manifest["shards"] if each["path"] == name)


def rewrite(release, change):
    """Change the validation rows, and the manifest's checksum with them."""
    table = pq.read_table(release / SHARD)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), release / SHARD)
    held = {"bytes": (release / SHARD).stat().st_size, "sha256": file_digest(release / SHARD)}
    edit(release, lambda manifest: shard(manifest).update(held))


MANIFESTS = {
    "a path out of the folder": (lambda m: shard(m).update(path="../outside.parquet"), "path: expected 'data/"),
    "an absolute path": (lambda m: shard(m).update(path="/etc/passwd"), "path: expected 'data/"),
    "a config that climbs": (lambda m: shard(m).update(config="../../x", path="../../x/validation"), "expected a name"),
    "a split with a newline": (lambda m: shard(m).update(split="a\nb"), "expected a name"),
    "a shard twice": (lambda m: m["shards"].append(shard(m)), "is listed 2 times"),
    "an unknown kind": (lambda m: m.update(kind="d3s-pro"), "kind"),
    "a name with an escape code": (lambda m: m.update(name="\x1b[2J"), "expected a name"),
    "a background with an escape code": (lambda m: m["backgrounds"].append("\x1b[2J"), "control characters"),
    "no checksum": (lambda m: shard(m).update(sha256="0"), "sha256"),
    "a negative size": (lambda m: shard(m).update(bytes=-1), "bytes"),
    "a failure's key that climbs": (
        lambda m: m["failures"].append(
            {"key": "../x", "config": "default", "split": "train", "index": 0, "seed": 0, "attempt": 0, "stage": "",
             "reason": ""}
        ),
        "expected a name",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "says"), MANIFESTS.values(), ids=MANIFESTS)
def test_a_hostile_manifest_is_refused_when_it_is_read(copy, change, says):
    edit(copy, change)
    with pytest.raises(ReleaseError, match=says) as caught:
        read(copy)
    assert str(caught.value).isprintable()


def link_out(path):
    shutil.move(path, path.parents[2] / "outside.parquet")
    path.symlink_to(path.parents[2] / "outside.parquet")


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


SHARDS = {"a link out": (link_out, "leads out of"), "a pipe": (pipe, "no regular file"), "cut": (cut, "cut short"),
          "gone": (lambda path: path.unlink(), "missing")}  # fmt: skip
READERS = {
    "load": lambda release: load(release, split="validation"),
    "builder": lambda release: D3S(data_dir=release, cache_dir=release.parent / "cache").download_and_prepare(),
    "benchmark": lambda release: open_split(release, "default", "validation"),
    "sheet": lambda release: contact_sheet(release, "default", "validation", 3, 16),
    "push": lambda release: stage(release, outgoing(read(release), False), False),
    "verify prepare": open_release,
}


@pytest.mark.parametrize(("damage", "says"), SHARDS.values(), ids=SHARDS)
def test_all_readers_refuse_a_shard_that_is_no_file_of_the_release(copy, damage, says):
    damage(copy / SHARD)
    for reader in READERS.values():
        with pytest.raises(ReleaseError, match=says):
            reader(copy)
    assert any(says in problem for problem in check_release(copy))


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_all_readers_take_the_release_as_it_was_made(copy, reader):
    reader(copy)


def test_the_hub_clients_snapshot_of_links_is_a_release(small, tmp_path):
    snapshot = tmp_path / "datasets--lab--d3s" / "snapshots" / "c0ffee"
    blobs = shutil.copytree(small, tmp_path / "datasets--lab--d3s" / "blobs")
    for path in sorted(blobs.rglob("*")):
        if path.is_file():
            place = snapshot / path.relative_to(blobs)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path)
    assert check_release(snapshot) == []
    assert open_split(snapshot, "default", "validation").n == 10


def test_a_manifest_that_is_a_link_out_is_refused(copy):
    shutil.move(copy / "manifest.json", copy.parent / "outside.json")
    (copy / "manifest.json").symlink_to(copy.parent / "outside.json")
    with pytest.raises(ReleaseError, match="leads out of"):
        read(copy)


def bomb():
    """A PNG that claims 40,000 x 40,000 pixels in 100 bytes."""
    head = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    parts = [struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
             for kind, body in chunks]  # fmt: skip
    return {"bytes": b"\x89PNG\r\n\x1a\n" + b"".join(parts), "path": None}


def postscript():
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "EPS")
    return {"bytes": buffer.getvalue(), "path": None}


def swap(rows):
    """Change the pictures of two rows of different contrast."""
    one, two = min(rows, key=lambda row: row["screen_contrast"]), max(rows, key=lambda row: row["screen_contrast"])
    one["image"]["bytes"], two["image"]["bytes"] = two["image"]["bytes"], one["image"]["bytes"]


def exchange(rows):
    rows[0]["image"], rows[1]["image"] = rows[1]["image"], rows[0]["image"]


def first(**fields):
    return lambda rows: rows[0].update(fields)


ROWS = {
    "no image": (first(image=None), "its image is null"),
    "no bytes": (first(image={"bytes": None, "path": None}), "its image has no bytes"),
    "no box": (first(box=None), "its box is null"),
    "half a box": (first(box={"left": None, "top": 0, "right": 1, "bottom": 1}), "its box has a side that is null"),
    "no label": (first(foreground=None), "its foreground is null"),
    "no key": (first(key=None), "row None: its key is null"),
    "a key that climbs": (first(key="../../x"), "its key is no name"),
    "a key with an escape code": (first(key="\x1b[2J"), "its key is no name"),
    "a bomb": (first(image=bomb()), "too large to open"),
    "PostScript": (first(image=postscript()), "its image cannot be decoded"),
    "swapped pictures": (swap, "is it the image of another row"),
    "swapped images": (exchange, "under another key"),
}


@pytest.mark.parametrize(("change", "says"), ROWS.values(), ids=ROWS)
def test_check_names_every_odd_row_and_goes_on(copy, change, says):
    rewrite(copy, change)
    problems = check_release(copy)
    assert any(says in problem for problem in problems), problems
    assert all(problem.isprintable() for problem in problems)


def test_check_wants_a_recipe(copy):
    edit(copy, lambda manifest: manifest.update(recipe={}))
    assert any("the recipe lacks name, kind" in problem for problem in check_release(copy))


def test_a_claim_of_a_petabyte_is_refused_before_a_byte_is_read(copy):
    edit(copy, lambda manifest: shard(manifest).update(bytes=10**15))
    assert any("expected 1,000,000,000,000,000 bytes" in problem for problem in check_release(copy))


def test_load_reads_the_manifests_files_whatever_the_card_names(copy):
    extra = shutil.copy(copy / SHARD, copy / "data" / "validation-00001-of-00001.parquet")
    assert extra.exists()
    assert len(load(copy, split="validation")) == 10
    assert len(load(copy, split="train + validation")) == 60
    odd = copy.rename(copy.parent / "d3s [v1]*")
    assert len(load(odd, split="validation")) == 10
