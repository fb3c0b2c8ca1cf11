"""A name out of somebody's file never leads out of the folder that it belongs to."""

import os

import pytest

from d3s_dataset.errors import ReleaseError
from d3s_dataset.utils.paths import inside, is_name, regular

HOSTILE = ["../x", "a/../../x", "/etc/passwd", "", ".", "..", "a//b", "a/", "a\\b", "a\nb", "a\0b", "a\x1b[2Jb", "ü",
           "a b", "~/x", "C:x", "a/./b", "x" * 129]  # fmt: skip


@pytest.mark.parametrize("relative", HOSTILE)
def test_names_that_are_no_plain_paths_are_refused_on_one_line(tmp_path, relative):
    with pytest.raises(ReleaseError, match="plain names") as caught:
        inside(tmp_path, relative)
    assert str(caught.value).isprintable()
    assert not is_name(relative)


def test_plain_names_lie_below_the_folder_whether_they_are_there_or_not(tmp_path):
    assert inside(tmp_path, "data/train-00000-of-00001.parquet") == tmp_path / "data/train-00000-of-00001.parquet"
    (tmp_path / "here").write_bytes(b"x")
    (tmp_path / "link").symlink_to("here")
    (tmp_path / "release").symlink_to(tmp_path)
    assert regular(tmp_path, "link", 1).read_bytes() == b"x"
    assert regular(tmp_path / "release", "here").read_bytes() == b"x"


def test_links_that_lead_out_or_in_a_circle_are_refused(tmp_path):
    release = tmp_path / "release"
    release.mkdir()
    (tmp_path / "outside").write_bytes(b"x")
    (release / "file").symlink_to(tmp_path / "outside")
    (release / "data").symlink_to(tmp_path)
    (release / "circle").symlink_to("circle")
    for relative, says in {"file": "leads out", "data/outside": "leads out", "circle": "circle"}.items():
        with pytest.raises(ReleaseError, match=says):
            inside(release, relative)


def test_the_hub_clients_links_to_its_blobs_are_inside_and_others_are_not(tmp_path):
    cache = tmp_path / "datasets--lab--d3s"
    snapshot, blobs = cache / "snapshots" / "0a1b", cache / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "b10b").write_bytes(b"x")
    (tmp_path / "outside").write_bytes(b"x")
    (snapshot / "good").symlink_to("../../blobs/b10b")
    (snapshot / "bad").symlink_to("../../../outside")
    assert regular(snapshot, "good", 1) == snapshot / "good"
    with pytest.raises(ReleaseError, match="leads out"):
        regular(snapshot, "bad")
    blobs.rename(tmp_path / "elsewhere")
    blobs.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ReleaseError, match="leads out"):
        regular(snapshot, "good")


def test_what_is_no_regular_file_is_refused_without_opening_it(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    for relative, size, says in [("pipe", 1, "no regular"), ("folder", None, "no regular"), ("gone", 1, "missing")]:
        with pytest.raises(ReleaseError, match=says):
            regular(tmp_path, relative, size)
    with pytest.raises(ReleaseError, match=r"expected 1,000,000,000,000,000 bytes, got 1 \(is it cut short"):
        regular(tmp_path, "file", 10**15)
