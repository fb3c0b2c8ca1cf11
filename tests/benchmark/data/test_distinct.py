"""Rows that hold the same image are decoded and run once, and every file is that of running each row."""

import time

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.cache.blocks import Store
from benchmark.cache.cache import Cache, Options
from benchmark.data import distinct as module
from benchmark.data.distinct import distinct
from benchmark.data.split import Split, open_split
from benchmark.inference import evaluate
from benchmark.inference.evaluate import Subject, answers
from benchmark.inference.features import features_of
from benchmark.inference.functions import answers_of
from benchmark.inference.predict import answer, predict
from benchmark.models.classifier import Classifier
from benchmark.models.registry import load
from benchmark.schemas.predictions import Answers


class _Counts(nn.Module):
    """A small network that counts the images it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0
        self.body = nn.Linear(16 * 16 * 3, 1000)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen += len(images)
        return self.body(images.flatten(1))


def _pixels(image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image, np.float32)).permute(2, 0, 1) / 255


def _classifier() -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = _Counts().eval().requires_grad_(False)
    return Classifier("counts", "counts", None, {}, "ab" * 32, network, _pixels, {})


def _release(make, folder, photos: int, times: int) -> Split:
    """Each photo on `times` rows, not next to each other, with a class of its own."""
    rng = np.random.default_rng(0)
    images = [make.jpeg(rng.integers(0, 255, (16, 16, 3)).astype(np.uint8)) for _ in range(photos)]
    rows = [
        make.record(i, images[i % photos], i % photos, i // photos % 10, foreground_source=f"foreground-{i % photos}")
        for i in range(photos * times)
    ]
    return open_split(make.write_release(folder / "d3s", {"validation": rows}), "default", "validation")


def _subject(classifier: Classifier, cache: Cache | None = None) -> Subject:
    return Subject("counts", cache=cache, loaded=classifier)


def _same(found: Answers, expected: Answers) -> None:
    np.testing.assert_array_equal(found.prediction, expected.prediction)
    for name in ("probability", "loss", "squares"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-5)


def _each_row(split: Split) -> Answers:
    made, _ = predict(_classifier(), split, "fp32")
    return Answers(made.prediction, made.probability, made.loss, made.squares)


def test_a_photo_on_ten_rows_is_run_once(make, tmp_path):
    split, classifier = _release(make, tmp_path, 20, 10), _classifier()
    found, finished = answers(_subject(classifier), split, Options("fp32", compile=False), 0.0)
    assert classifier.network.seen == 20
    assert finished.run.precision == "fp32"
    _same(found, _each_row(split))


def test_a_function_is_asked_once_for_a_photo(make, tmp_path):
    split, seen = _release(make, tmp_path, 4, 10), []

    def function(batch: np.ndarray) -> np.ndarray:
        seen.append(len(batch))
        return batch.reshape(len(batch), -1)[:, :768] @ np.random.default_rng(1).normal(size=(768, 1000))

    found = answers_of(function, "f", split, lambda image: np.asarray(image, np.float32))
    assert sum(seen) == 4
    assert len(found.prediction) == 40
    assert found.loss is not None
    np.testing.assert_array_equal(found.loss, np.tile(found.loss[:4], 10))


def test_the_same_image_of_another_class_has_a_loss_of_its_own(make, tmp_path):
    image = make.jpeg(np.full((16, 16, 3), 90, np.uint8))
    rows = [make.record(i, image, (3, 5)[i % 2], i % 10) for i in range(8)]
    split = open_split(make.write_release(tmp_path / "d3s", {"validation": rows}), "default", "validation")
    found, _ = answers(_subject(_classifier()), split, Options("fp32", compile=False), 0.0)
    assert found.loss is not None
    assert len(set(found.loss.tolist())) == 2
    _same(found, _each_row(split))


def test_what_is_alike_is_kept_and_the_first_rows_are_cut_alike(make, tmp_path, monkeypatch):
    """A second call reads no image; fewer rows take what more rows left."""
    split, cache = _release(make, tmp_path, 300, 2), Cache(tmp_path / "cache")
    make.age(tmp_path / "d3s")
    images, place = distinct(split, cache)
    assert (images.n, split.n) == (300, 600)
    np.testing.assert_array_equal(place, np.tile(np.arange(300), 2))
    monkeypatch.setattr(module, "_first_rows", None)
    again, same = distinct(split, cache)
    np.testing.assert_array_equal(same, place)
    assert again.content(cache) == images.content(cache) != split.content(cache)
    monkeypatch.undo()
    fewer, _ = distinct(open_split(tmp_path / "d3s", "default", "validation", 400), cache)
    assert fewer.content(cache) == images.content(cache)
    assert list(fewer.images(299)) == list(images.images(299)) == list(split.images(299))[:1]


def test_where_all_are_distinct_nothing_changes(toy, tmp_path):
    split, cache = open_split(toy, "default", "validation"), Cache(tmp_path)
    images, place = distinct(split, cache)
    assert images is split
    np.testing.assert_array_equal(place, np.arange(90))


@pytest.mark.parametrize("kind", ["predictions", "features"])
def test_a_stopped_run_goes_on_to_the_same_bytes(make, small, tmp_path, kind, monkeypatch):
    """300 images on 600 rows are two parts; the one left over is all that is run."""
    split = _release(make, tmp_path, 300, 2)
    cache = Cache(tmp_path / "cache")

    def run() -> list[bytes]:
        subject = Subject(f"local-dir:{small}", cache=cache)
        if kind == "features":
            return [features_of(subject, split, Options()).values.tobytes()]
        found, _ = answers(subject, split, Options("fp32"), 0.0)
        return [each.tobytes() for each in vars(found).values()]

    whole = run()
    parts = sorted((tmp_path / "cache" / kind).glob("*/*-*.npz"))
    assert [each.name[:8] for each in parts if "finished" not in each.name] == ["00000000", "00000256"]
    for place in parts:
        place.unlink()
        assert run() == whole
    assert evaluate.distinct(split, cache)[0].n == 300


@pytest.mark.long
def test_200_real_photos_on_ten_backgrounds_are_200_passes(photos, make, small, tmp_path, capsys):
    """As `control_original_guides`: a tenth of the passes, and the predictions of running every row."""
    alone = open_split(photos, "default", "validation")
    rows = [
        make.record(10 * i + at, content, int(alone.foreground[i]), at, foreground_source=f"foreground-{i}")
        for i, content in enumerate(alone.images())
        for at in range(10)
    ]
    release = make.write_release(tmp_path / "d3s", {"validation": rows}, kind="guides", shard_rows=2000)
    split, options = open_split(release, "default", "validation"), Options("fp32", compile=False)
    classifier = load(f"local-dir:{small}")
    seen: list[int] = []
    classifier.network.register_forward_pre_hook(lambda network, given: seen.append(len(given[0])))
    times = [time.perf_counter()]
    found, _ = answers(_subject(classifier), split, options, 0.0)
    times.append(time.perf_counter())
    assert sum(seen) == 200
    store = Store(Answers)
    answer(classifier, split, options, store)
    times.append(time.perf_counter())
    assert sum(seen) == 2200
    distinct(split)
    once, each_row, compared = np.diff([*times, time.perf_counter()])
    _same(found, store.all(split.n))
    with capsys.disabled():
        print(  # noqa: T201
            f"\n2,000 rows of 200 photos: {once:.1f} s, each row {each_row:.1f} s, comparing {compared:.2f} s"
        )
