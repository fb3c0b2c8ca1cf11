"""The next model's weights load while the caller works on one: in turn, one ahead, and no error before its turn."""

import shutil
from pathlib import Path
from threading import Event

import pytest

from benchmark import run
from benchmark.cache.cache import Cache, Options
from benchmark.data.split import open_split
from benchmark.inference.ahead import in_turn, loads_ahead
from benchmark.inference.evaluate import Subject, answers
from benchmark.models import registry
from benchmark.schemas import result
from d3s_dataset.errors import ModelError

WAIT = 20  # seconds


@pytest.fixture
def loads(monkeypatch):
    """An event per load, set when it has ended, in the order of loading."""
    ended: list[str] = []
    events = {number: Event() for number in range(1, 9)}
    before = registry.load

    def load(name, *others):
        try:
            return before(name, *others)
        finally:
            ended.append(name)
            events[len(ended)].set()

    monkeypatch.setattr(registry, "load", load)
    return ended, events


def test_the_next_model_is_loaded_meanwhile_and_no_more(small, loads):
    ended, events = loads
    names = [f"local-dir:{small}"] * 4
    models = in_turn([Subject(each) for each in names], lambda model: True)
    first = next(models)
    assert first.classifier.name == names[0]
    assert events[2].wait(WAIT)  # while the first is the caller's
    assert not events[3].wait(0.5)
    second = next(models)
    assert events[3].wait(WAIT)
    before = len(ended)
    assert second.classifier is second.classifier
    assert second.classifier is not first.classifier
    assert len(ended) == before  # it was there
    models.close()


def test_an_error_comes_at_its_model_s_turn(controlled, small, tmp_path, capsys):
    damaged = Path(shutil.copytree(small, tmp_path / "damaged"))
    (damaged / "model.safetensors").write_bytes(b"no weights")
    names = [f"local-dir:{each}" for each in (small, damaged)]
    line = ["--dataset", str(controlled), "--precision", "fp32", "--limit", "10", "--out", str(tmp_path / "out")]
    with pytest.raises(ModelError, match="1 of 2 models could not be measured"):
        run.main([*line, "--model", *names])
    shown = capsys.readouterr()
    assert "warning: " in shown.err
    assert len(list((tmp_path / "out").glob("*.json"))) == 1
    assert result.read(next((tmp_path / "out").glob("*.json"))).dataset.n == 10


def test_a_model_with_cached_answers_is_not_loaded(toy, small, tmp_path, loads):
    ended, _ = loads
    split, options, cache = open_split(toy, "default", "validation"), Options("fp32"), Cache(tmp_path)
    model = Subject(f"local-dir:{small}", cache=cache)
    assert loads_ahead(model, [split], options)
    answers(model, split, options, 0.0)
    assert len(ended) == 1
    again = [Subject(f"local-dir:{small}", cache=cache) for _ in range(3)]
    for each in in_turn(again, lambda model: loads_ahead(model, [split], options)):
        answers(each, split, options, 0.0)
    assert len(ended) == 1
    assert loads_ahead(again[0], [split, open_split(toy, "default", "train")], options)


def test_one_model_is_loaded_where_it_is_used(small, loads):
    ended, _ = loads
    (only,) = in_turn([Subject(f"local-dir:{small}")], lambda model: True)
    assert ended == []
    assert only.classifier is only.classifier
    assert len(ended) == 1
