"""Folders of strangers are listed to their end, and what cannot be used is one line."""

import os
from pathlib import Path

import pytest

from d3s_dataset.errors import SourceError
from d3s_dataset.utils import paths
from d3s_dataset.utils.nested import parse_json, parse_toml


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """One photo, reached by loops and links; what no photo is lies next to it."""
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "photo.JPG").touch()
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / "a" / "deep" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "a" / "again").symlink_to(tmp_path / "a" / "deep")
    (tmp_path / "a" / "self").symlink_to(tmp_path / "a" / "self")
    return tmp_path / "a"


def test_loops_end_and_a_photo_is_listed_once(odd):
    assert paths.photos(odd, "grass/") == ["grass/deep/photo.JPG"]
    assert paths.subfolders(odd) == ["again", "deep"]
    assert paths.photos(odd / "self") == paths.photos(odd / "none") == []


def test_linked_folders_are_followed(odd, tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "linked").symlink_to(odd / "deep")
    assert paths.photos(tmp_path / "b") == ["linked/photo.JPG"]


def test_what_is_named_as_a_photo_is_listed_whatever_it_is(odd):
    os.mkfifo(odd / "pipe.jpg")
    (odd / "loop.png").symlink_to(odd / "loop.png")
    (odd / "folder.jpg").mkdir()
    assert paths.photos(odd) == ["deep/photo.JPG", "loop.png", "pipe.jpg"]


def test_a_name_that_is_not_utf8_is_one_line(odd):
    Path(os.fsdecode(os.fsencode(odd) + b"/caf\xe9.jpg")).touch()
    with pytest.raises(SourceError, match=r"the name 'x/caf\\+xe9\.jpg' is not UTF-8: .* rename it"):
        paths.photos(odd, "x/")


def test_a_folder_beyond_the_longest_path_is_one_line(tmp_path):
    here = os.getcwd()  # noqa: PTH109 - a path that long has no Path
    try:
        os.chdir(tmp_path)
        for _ in range(20):
            os.mkdir("level" * 50)  # noqa: PTH102
            os.chdir("level" * 50)
        Path("photo.jpg").touch()
    finally:
        os.chdir(here)
    with pytest.raises(SourceError, match="cannot be listed: File name too long"):
        paths.photos(tmp_path)


def test_text_of_any_nesting_is_a_value_error():
    assert parse_json(b'{"a": [1]}') == parse_toml("a = [1]")
    for parse, text in ((parse_json, "[" * 100_000), (parse_toml, "a = " + "[" * 100_000), (parse_toml, "a = 1" * 9)):
        with pytest.raises(ValueError, match=r".+"):
            parse(text)
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json("[" * 100_000)
    with pytest.raises(ValueError, match="digits"):
        parse_toml("a = " + "1" * 5000)
