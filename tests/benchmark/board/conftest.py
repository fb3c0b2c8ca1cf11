"""A small release of kind d3s, models that answer on it, a board about it, and pages opened from disk."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmark import leaderboard, submit
from benchmark.board.submission import PREDICTIONS, RESULT, id_of
from benchmark.data.split import open_split
from benchmark.metrics.compute import result_of
from benchmark.schemas import predictions as predictions_
from benchmark.schemas import result as results
from benchmark.schemas.identity import stem
from benchmark.schemas.predictions import BEST, Answers, Predictions
from d3s_dataset.errors import D3SError

IMAGES = 120


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory, make: SimpleNamespace) -> Path:
    """12 photos, each on ten backgrounds, with three background photos each; 32 px of noise."""
    rng = np.random.default_rng(0)
    rows = [
        make.record(i, make.jpeg(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)), i // 10 * 83, i % 10,
                    foreground_source=f"foreground-{i // 10}", background_source=f"background-{i % 10}-{i // 10 % 3}")
        for i in range(IMAGES)
    ]  # fmt: skip
    return make.write_release(tmp_path_factory.mktemp("release") / "d3s", {"validation": rows}, kind="d3s")


def answers(foreground: np.ndarray, accuracy: float, seed: int) -> Answers:
    """Say something about images, right on a share of them."""
    rng, n = np.random.default_rng(seed), len(foreground)
    right = rng.permutation(n) < round(n * accuracy)
    prediction = (foreground[:, None] + 1 + np.arange(BEST)) % 1000
    prediction[right, 0] = foreground[right]
    share = rng.dirichlet(np.full(BEST + 1, 0.5), n)
    probability = np.sort(share[:, :BEST], axis=1)[:, ::-1].astype(np.float32)
    rest = np.minimum(probability[:, -1], share[:, -1]) * rng.uniform(0.5, 1, n)  # the label's where it is not listed
    own = np.maximum(np.where(right, probability[:, 0], rest), 1e-30)
    loss = -np.log(own.astype(np.float64))
    return Answers(prediction.astype(np.int32), probability, loss.astype(np.float32), (probability**2).sum(1))


@pytest.fixture(scope="session")
def measured(release: Path) -> Callable[..., Path]:
    """Write a result and its predictions, as benchmark.run does; the facts of the model can be others."""

    def write(out: Path, name: str = "toy", accuracy: float = 0.6, seed: int = 0, **facts: Any) -> Path:
        split = open_split(release, "default", "validation")
        made = split.predictions(answers(split.foreground, accuracy, seed))
        return written(out, replace(made, provenance=provenance(split.facts(), name, **facts)))

    return write


def provenance(dataset: results.Dataset, name: str, **facts: Any) -> dict[str, Any]:
    model = {"name": name, "architecture": None, "tag": None, "kwargs": {}, "digest": "ab" * 32, "precision": "fp32",
             "transform": {}} | facts  # fmt: skip
    about = results.Provenance(model=results.Model(**model), dataset=dataset, environment={}, seconds=1.0)
    return about.model_dump(mode="json")


def written(out: Path, made: Predictions) -> Path:
    result = result_of(made, "here")
    path = out / f"{stem(result.model, result.dataset)}.json"
    results.make_folder(out)
    predictions_.write(path.with_suffix(".parquet"), made)
    results.write(path, result)
    return path


@pytest.fixture(scope="session")
def empty_board(release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("empty") / "board"
    leaderboard.main([str(root), "--begin", "--dataset", str(release)])
    return root


@pytest.fixture
def board(empty_board: Path, tmp_path: Path) -> Path:
    return shutil.copytree(empty_board, tmp_path / "submissions")


@pytest.fixture(scope="session")
def send(release: Path) -> Callable[..., None]:
    """Submit a result to a folder."""

    def run(path: Path, board: Path, *more: str, training: str = "imagenet") -> None:
        line = [str(path), "--repo-id", str(board), "--training-data", training, "--dataset", str(release), *more]
        submit.main(line)

    return run


@pytest.fixture(scope="session")
def copies() -> Callable[..., None]:
    """Put more submissions beside one: the same answers by models of other names."""

    def make(folder: Path, count: int) -> None:
        made, said = predictions_.read(folder / PREDICTIONS), results.read(folder / RESULT)
        for index in range(count):
            model = said.model.model_copy(update={"name": f"copy-{index}", "digest": f"{index:064x}"})
            result = said.model_copy(update={"model": model})
            place = folder.with_name(id_of(result))
            shutil.copytree(folder, place)
            results.write(place / RESULT, result)
            facts = made.provenance | {"model": model.model_dump(mode="json")}
            predictions_.write(place / PREDICTIONS, replace(made, provenance=facts))

    return make


def refused(main: Callable[..., None], *line: object) -> str:
    """Run a command in this process, as bad input; return the one line that it says."""
    with pytest.raises(D3SError) as caught:
        main([str(each) for each in line])
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.fixture
def visit(browser):
    """Open a file in a window of its own; at the end, nothing went wrong and nothing was asked of anywhere else."""
    windows, wrong = [], []

    def opened(path: Path, size: dict[str, int], scheme: str = "light"):
        context = browser.new_context(viewport=size, color_scheme=scheme)
        window = context.new_page()
        window.set_default_timeout(15_000)
        window.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        window.on("pageerror", lambda error: wrong.append(str(error)))
        asked = []
        window.on("request", lambda request: asked.append(request.url) if not request.url.startswith("data:") else None)
        window.goto(path.as_uri())
        assert asked == [path.as_uri()]
        windows.append(context)
        return window

    yield opened
    for context in windows:
        context.close()
    assert wrong == []
