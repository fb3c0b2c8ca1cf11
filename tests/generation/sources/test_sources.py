import json
import os
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features
from datasets import Image as ImageFeature
from PIL import Image

from d3s_dataset.errors import PhotoError, SourceError
from d3s_dataset.taxonomy import background_names, classes
from generation.sources.folder import FolderSource
from generation.sources.resolve import foreground_labels, open_source
from generation.sources.sample import DrawnBackgrounds, DrawnForegrounds

PLACES = {name: i for i, name in enumerate(background_names())}


def photo(path, size=(40, 30), mode="RGB", colour=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)
    return path


def test_imagenets_layout_is_read_in_label_order(tmp_path):
    photo(tmp_path / "n01443537" / "b.JPEG")
    photo(tmp_path / "n01443537" / "deep" / "a.png")
    photo(tmp_path / "n01440764" / "c.jpg")
    photo(tmp_path / "not_a_class" / "c.jpg")
    (tmp_path / "n01440764" / "notes.txt").write_text("no photo")
    photos = open_source(str(tmp_path), foreground_labels(), "foregrounds").photos()
    assert photos == {0: ["n01440764/c.jpg"], 1: ["n01443537/b.JPEG", "n01443537/deep/a.png"]}


def test_real_photos(shared_data):
    objects = open_source(str(shared_data / "foregrounds"), foreground_labels(), "foregrounds").photos()
    assert sorted(objects) == list(range(0, 1000, 5))
    scenes = open_source(str(shared_data / "backgrounds"), PLACES, "backgrounds").photos()
    assert {label: len(names) for label, names in scenes.items()} == dict.fromkeys(range(10), 3)


def test_real_cutouts_keep_their_mask(shared_data):
    source = FolderSource(shared_data, {"cutouts": 0}, "foregrounds")
    names = source.photos()[0]
    assert len(names) == 4
    for name in names:
        image = source.open(name, 64)
        assert image.mode == "RGBA"
        assert image.getchannel("A").getextrema() == (0, 255)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "I;16"])
def test_every_kind_of_photo_becomes_rgb(tmp_path, mode):
    path = photo(tmp_path / "grass" / ("a.tif" if mode == "CMYK" else "a.png"), mode=mode)
    assert FolderSource(tmp_path, PLACES, "backgrounds").open(f"grass/{path.name}", 8).mode == "RGB"


def test_a_photo_stands_upright(tmp_path):
    path = tmp_path / "grass" / "a.jpg"
    path.parent.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(path, exif=exif)
    assert FolderSource(tmp_path, PLACES, "backgrounds").open("grass/a.jpg", 8).size == (30, 40)


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff\xe0 cut", None])
def test_an_unreadable_photo_is_named_without_its_path(tmp_path, content):
    photo(tmp_path / "grass" / "good.jpg")
    if content is not None:
        (tmp_path / "grass" / "bad.jpg").write_bytes(content)
    with pytest.raises(PhotoError, match=r"photo grass/bad\.jpg cannot be read") as caught:
        FolderSource(tmp_path, PLACES, "backgrounds").open("grass/bad.jpg", 8)
    assert str(tmp_path) not in str(caught.value)


def test_a_photo_cut_short_is_unreadable(tmp_path):
    path = tmp_path / "grass" / "a.jpg"
    path.parent.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (99, 99, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(PhotoError, match="truncated"):
        FolderSource(tmp_path, PLACES, "backgrounds").open("grass/a.jpg", 8)


def test_a_missing_or_empty_folder_is_one_clear_line(tmp_path):
    with pytest.raises(SourceError, match="--foregrounds: expected a folder of photos, got"):
        open_source(str(tmp_path / "gone"), foreground_labels(), "foregrounds")
    with pytest.raises(SourceError, match=r"no photo found in .*: expected images in subfolders such as .*/grass"):
        open_source(str(tmp_path), PLACES, "backgrounds").photos()


def test_a_folder_says_its_licence(tmp_path):
    photo(tmp_path / "grass" / "a.jpg")
    assert FolderSource(tmp_path, PLACES, "backgrounds").info.redistribution is False
    said = {"name": "my photos", "licence": "CC-BY-4.0", "redistribution": True}
    (tmp_path / "source.json").write_text(json.dumps(said))
    info = FolderSource(tmp_path, PLACES, "backgrounds").info
    assert (info.name, info.licence, info.redistribution) == ("my photos", "CC-BY-4.0", True)
    for bad in (b"{}", b"[" * 100_000, b"\xff", b'{"name": [], "licence": "", "redistribution": true}'):
        (tmp_path / "source.json").write_bytes(bad)
        with pytest.raises(SourceError, match=r"source\.json: expected"):
            FolderSource(tmp_path, PLACES, "backgrounds")


def test_a_folder_of_a_stranger_is_listed_or_one_line(tmp_path):
    photo(tmp_path / "grass" / "a.jpg")
    photo(tmp_path / "cave" / "b.jpg")
    (tmp_path / "grass" / "up").symlink_to(tmp_path)
    (tmp_path / "grass" / "self").symlink_to(tmp_path / "grass" / "self")
    (tmp_path / "snow").symlink_to(tmp_path / "snow")
    os.mkfifo(tmp_path / "grass" / "pipe.jpg")
    os.mkfifo(tmp_path / "source.json")
    source = FolderSource(tmp_path, PLACES, "backgrounds")
    assert source.photos() == {
        PLACES["cave"]: ["cave/b.jpg"],
        PLACES["grass"]: ["grass/a.jpg", "grass/pipe.jpg"],
    }
    with pytest.raises(PhotoError, match=r"photo grass/pipe\.jpg cannot be read: OSError: no regular file"):
        source.open("grass/pipe.jpg", 8)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/grass/caf\xe9.jpg")).touch()
    with pytest.raises(SourceError, match="is not UTF-8"):
        source.photos()


@pytest.fixture
def hub_data(tmp_path):
    """A real HF image data set in a folder, labelled by class names in another order."""
    names = [classes()[label].name for label in (7, 3, 517)]
    features = Features({"picture": ImageFeature(), "label": ClassLabel(names=names)})
    rows = {"picture": [Image.new("RGB", (9, 9), (i, 0, 0)) for i in range(4)], "label": [0, 2, 1, 0]}
    Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "train.parquet")
    return tmp_path


def test_a_hugging_face_data_set_with_labels(hub_data):
    source = open_source(f"hf:{hub_data}:train", foreground_labels(), "foregrounds")
    assert source.photos() == {7: ["train/00000000", "train/00000003"], 517: ["train/00000001"], 3: ["train/00000002"]}
    assert source.open("train/00000003", 64).getpixel((0, 0)) == (3, 0, 0)


def test_a_data_set_that_does_not_fit_is_one_clear_line(hub_data, tmp_path):
    with pytest.raises(SourceError, match="expected labels named such as 'grass', got 3 such as"):
        open_source(f"hf:{hub_data}", PLACES, "backgrounds").photos()
    Dataset.from_dict({"text": ["a"]}).to_parquet(tmp_path / "text" / "train.parquet")
    with pytest.raises(SourceError, match="expected an image and a label column, got text"):
        open_source(f"hf:{tmp_path / 'text'}", PLACES, "backgrounds")
    with pytest.raises(SourceError, match="cannot be loaded"):
        open_source(f"hf:{tmp_path / 'gone'}", PLACES, "backgrounds")


def test_the_drawn_sample_names_what_it_draws():
    foregrounds, backgrounds = DrawnForegrounds(3), DrawnBackgrounds(2, PLACES)
    assert all(len(names) == 3 for names in foregrounds.photos().values())
    assert backgrounds.photos()[9] == ["cave/00000", "cave/00001"]
    name = next(iter(foregrounds.photos().values()))[1]
    assert (foregrounds.open(name, 50).mode, foregrounds.open(name, 50).size) == ("RGBA", (50, 50))
    assert (backgrounds.open("cave/00001", 60).mode, backgrounds.open("cave/00001", 60).size) == ("RGB", (60, 60))


def test_a_drawn_scene_may_be_changed_without_changing_the_next():
    backgrounds = DrawnBackgrounds(2, PLACES)
    (photo, *_), *_ = backgrounds.photos().values()
    first = backgrounds.open(photo, 32)
    wanted = first.tobytes()
    first.paste("red", (0, 0, 32, 32))
    assert backgrounds.open(photo, 32).tobytes() == wanted
