"""Sets of real images in their published folders: accuracies equal an independent loop; other layouts are one line."""

import io
import json

import numpy as np
import pytest
import torch
from PIL import Image

from benchmark.cache.cache import Cache
from benchmark.models.packaged import load
from benchmark.realism import main
from benchmark.schemas.validity import RealResult
from benchmark.validity.real_sets import REAL_SETS, read_set
from d3s_dataset.errors import SourceError
from d3s_dataset.taxonomy import SUPERCLASSES, classes
from tests.benchmark.conftest import jpeg

LITE0 = "packaged:tf_efficientnet_lite0"
FEW = [classes()[label] for label in (9, 10, 207, 281, 340, 817)]  # six classes of ImageNet
NUMBERED = (
    "00_dog", "01_bird", "02_wheeled vehicle", "03_reptile", "04_carnivore", "05_insect", "06_musical instrument",
    "07_primate", "08_fish",
)  # fmt: skip
COUNT = 12


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    """Patches of colour, in which a real network finds fish, snakes and things: not all of one class."""
    made = []
    for seed in range(1, COUNT + 1):
        rng = np.random.default_rng(seed)
        size = int(rng.integers(2, 40))
        patches = Image.fromarray(rng.integers(0, 255, (size, size, 3), dtype=np.uint8))
        made.append(jpeg(patches.resize((96, 80), Image.Resampling.BICUBIC)))
    return made


@pytest.fixture(scope="module")
def model():
    return load(LITE0, None, {})


@pytest.fixture(autouse=True)
def loaded_once(model, monkeypatch):
    """The same real network for all tests: loading it takes longer than all of them."""
    monkeypatch.setattr("benchmark.models.registry.load", lambda *_: model)


@pytest.fixture(scope="module")
def logits(images, model) -> np.ndarray:
    """Logits of the plain network, one image at a time: no code of the benchmark's inference."""
    model.network.eval()
    with torch.no_grad():
        rows = [model.network(model.transform(Image.open(io.BytesIO(each)).convert("RGB"))[None])[0] for each in images]
    return torch.stack(rows).numpy()


def put(folder, image: bytes):
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_bytes(image)


def measured(name, folder, out) -> RealResult:
    line = ["--measure", name, "--folder", str(folder), "--model", LITE0, "--precision", "fp32", "--out", str(out)]
    main(line)
    (path,) = out.glob("*.real.json")
    return RealResult.model_validate_json(path.read_text())


def superclass(label: int) -> int:
    return next((index for index, members in enumerate(SUPERCLASSES.values()) if label in members), -1)


@pytest.mark.parametrize("name", ["imagenet-r", "imagenet-a", "imagenet-sketch"])
def test_wordnet_folders(name, images, logits, tmp_path, capsys):
    labels = [each.index for each in FEW]
    best = logits[:, labels].argmax(1)
    expected = 0
    for index, image in enumerate(images):
        place = best[index] if index % 2 else index // 2 % len(FEW)  # every class has a photo
        put(tmp_path / "set" / FEW[place].wnid / f"{index}.jpg", image)
        among = labels if REAL_SETS[name].among else range(1000)
        expected += list(among)[int(logits[index, list(among)].argmax())] == labels[place]
    found = measured(name, tmp_path / "set", tmp_path / "out")
    assert found.groups["all"].n == COUNT
    assert found.groups["all"].top1 == expected / COUNT
    assert (expected >= COUNT / 2) == REAL_SETS[name].among  # restricted to the folder's classes, every other is right
    assert (found.classes, found.among) == (6, REAL_SETS[name].among)
    assert f"holds 6 classes, {name} has" in capsys.readouterr().err


def test_imagenet_9_counts_superclasses(images, logits, tmp_path, capsys):
    best = [superclass(int(each)) for each in logits.argmax(1)]
    right = {"mixed_same": 0, "mixed_rand": 0}
    for index, image in enumerate(images):
        variant = "mixed_same" if index < 8 else "mixed_rand"
        place = best[index] if best[index] >= 0 and index % 3 else index % 9
        put(tmp_path / "bg_challenge" / variant / "val" / NUMBERED[place] / f"fg_{index}.JPEG", image)
        right[variant] += place == best[index]
    found = measured("imagenet-9", tmp_path / "bg_challenge", tmp_path / "out")
    assert {name: (each.n, each.top1) for name, each in found.groups.items()} == {
        "mixed_same": (8, right["mixed_same"] / 8),
        "mixed_rand": (4, right["mixed_rand"] / 4),
    }
    gap = right["mixed_same"] / 8 - right["mixed_rand"] / 4
    assert found.differences == {"background gap": pytest.approx(gap)}
    assert sum(right.values()) > 0
    assert "background gap" in capsys.readouterr().out


def test_counteranimal_has_common_and_counter_backgrounds(images, logits, tmp_path):
    best = logits.argmax(1).tolist()
    right = {"common": 0, "counter": 0}
    for index, image in enumerate(images):
        group = "common" if index % 2 else "counter"
        label = best[index] if index % 3 else FEW[index % 6].index
        folder = f"{label} {classes()[label].synonym.lower().replace('/', ' ')}"
        put(tmp_path / "LAION-final" / folder / f"{group}-snow" / f"{index}.jpg", image)
        right[group] += label == best[index]
    found = measured("counteranimal", tmp_path / "LAION-final", tmp_path / "out")
    assert {name: each.top1 for name, each in found.groups.items()} == {
        name: count / (COUNT / 2) for name, count in right.items()
    }
    assert found.differences["drop"] == pytest.approx((right["common"] - right["counter"]) / (COUNT / 2))


def test_imagenet_e_has_one_label_for_all_edits_of_a_photo(images, logits, tmp_path):
    best, lines, right = logits.argmax(1).tolist(), [], {"random_bg": 0, "size_0.1": 0}
    for index, image in enumerate(images):
        edit, photo = ("random_bg" if index % 2 else "size_0.1"), f"ILSVRC2012_val_{index // 2:08d}"
        if index % 2 == 0:
            lines.append(f"{photo}.JPEG\t{best[index]}")
        put(tmp_path / "imagenet-e" / edit / f"{photo}.png", image)
        right[edit] += best[index] == best[index - index % 2]
    (tmp_path / "imagenet-e" / "labels.txt").write_text("\n".join(lines) + "\n")
    found = measured("imagenet-e", tmp_path / "imagenet-e", tmp_path / "out")
    assert {name: each.top1 for name, each in found.groups.items()} == {
        name: count / (COUNT / 2) for name, count in right.items()
    }


def test_a_second_call_loads_no_model(images, tmp_path, capsys, monkeypatch):
    for index, image in enumerate(images[:6]):
        put(tmp_path / "set" / FEW[index].wnid / f"{index}.jpg", image)
    first = measured("imagenet-r", tmp_path / "set", tmp_path / "out")
    monkeypatch.setattr("benchmark.models.registry.load", None)
    assert measured("imagenet-r", tmp_path / "set", tmp_path / "out") == first
    capsys.readouterr()
    line = ["--measure", "imagenet-r", "--folder", str(tmp_path / "set"), "--model", LITE0, "--precision", "fp32"]
    main([*line, "--out", str(tmp_path / "out"), "--json"])
    assert json.loads(capsys.readouterr().out)["result"]["real_set"] == "imagenet-r"


def test_a_logit_that_is_not_finite_is_an_error_and_the_cache_keeps_best_classes_apart(tmp_path):
    from benchmark.validity.measure import _argmax
    from d3s_dataset.errors import ModelError

    values = torch.zeros(2, 1000)
    values[1, 7] = 1
    assert _argmax(values, None, "").tolist() == [0, 7]
    assert _argmax(values, [3, 7], "").tolist() == [3, 7]
    values[0, 0] = float("nan")
    with pytest.raises(ModelError, match="set: a logit is not finite"):
        _argmax(values, None, "set")
    cache = Cache(tmp_path)
    cache.best(among=None).keep("a", values=np.zeros(1))
    assert cache.best(among=[3]).kept("a", "values") is None


BAD = {
    "imagenet-9": [
        ("original/00_dog/a.jpg", "holds no folder|original/val"),
        ("original/val/dog/a.jpg", "val/dog is none of them: expected imagenet-9, VARIANT/val/00_dog to 08_fish"),
        ("val/00_dog/a.jpg", "holds no photos of imagenet-9: expected VARIANT/val/00_dog"),
    ],
    "counteranimal": [
        ("ostrich/common-grass/a.jpg", "ostrich has no label of ImageNet: expected counteranimal, 'LABEL CLASS/"),
        ("1000 ostrich/common-grass/a.jpg", "has no label of ImageNet"),
        ("0 ostrich/common-grass/a.jpg", "ImageNet's label of 'ostrich' is 9, not 0"),
        ("9 ostrich/grass/a.jpg", "9 ostrich/grass is neither common nor counter"),
        ("9 ostrich/a.jpg", "holds no photos of counteranimal"),
    ],
    "imagenet-r": [("dog/a.jpg", "dog is no WordNet id"), ("a.jpg", "holds no photos: expected subfolders named by")],
    "imagenet-a": [("dog/a.jpg", "dog is no WordNet id")],
    "imagenet-sketch": [("sketch/n01440764/a.jpg", "holds no photos: expected subfolders named by WordNet ids")],
    "imagenet-e": [
        ("full/a.jpg", "labels.txt cannot be read: expected imagenet-e, EDIT/PHOTO and labels.txt"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "place", "expected"), [(name, *each) for name, cases in BAD.items() for each in cases]
)
def test_another_layout_is_one_line_that_names_the_expected_one(name, place, expected, tmp_path):
    put(tmp_path / place, b"")
    with pytest.raises(SourceError, match=expected) as caught:
        read_set(name, tmp_path)
    assert "\n" not in str(caught.value)


def test_bad_labels_missing_folders_and_unknown_sets_are_one_line(tmp_path, fails):
    put(tmp_path / "e" / "full" / "a.jpg", b"")
    for lines, expected in [("b.jpg 3", "full/a.jpg has no line in"), ("a.jpg", "has the line 'a.jpg'"),
                            ("a.jpg 1000", "has the line 'a.jpg 1000'")]:  # fmt: skip
        (tmp_path / "e" / "labels.txt").write_text(f"{lines}\n")
        with pytest.raises(SourceError, match=expected):
            read_set("imagenet-e", tmp_path / "e")
    with pytest.raises(SourceError, match="did you mean imagenet-r"):
        read_set("imagenet-rr", tmp_path)
    said = fails(main, ["--measure", "imagenet-9", "--folder", str(tmp_path / "no"), "--model", LITE0])
    assert "expected imagenet-9, VARIANT/val/00_dog to 08_fish" in said


def test_every_set_states_paper_and_layout():
    for name, each in REAL_SETS.items():
        assert len(each.paper) == 10, name
        assert len(each.layout) > 20, name
        assert not (each.among and each.superclasses)
