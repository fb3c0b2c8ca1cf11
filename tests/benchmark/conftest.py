"""Toy releases: real files in the project's own format, small enough for a test."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from scipy.stats import norm

from benchmark.metrics.intervals import Sample
from benchmark.schemas.predictions import BEST, Predictions
from d3s_dataset import manifest as manifests
from d3s_dataset.identity import file_digest
from d3s_dataset.schema import CONTROLS, Record, arrow_schema
from d3s_dataset.taxonomy import background_names, classes
from d3s_dataset.utils.cli import run_command
from tests.conftest import ROOT


def jpeg(pixels: np.ndarray | Image.Image, quality: int = 95) -> bytes:
    sink = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.convert("RGB").save(sink, "JPEG", quality=quality)
    return sink.getvalue()


def record(index: int, image: bytes, foreground: int, background: int, **others: Any) -> Record:
    return Record(
        image={"bytes": image, "path": None},
        foreground=foreground,
        background=background,
        wnid=classes()[foreground].wnid,
        key=others.pop("key", f"{index:020x}"),
        prompt="a toy",
        seed=index,
        foreground_source=others.pop("foreground_source", f"foreground-{index}"),
        background_source=others.pop("background_source", f"background-{background}-{index % 3}"),
        box=others.pop("box", {"left": 0, "top": 0, "right": 1, "bottom": 1}),
        generator=None,
        **others,
    )


def write_release(
    folder: Path,
    splits: dict[str, Iterable[Record]],
    *,
    kind: str = "sample",
    shard_rows: int = 50,
    group_rows: int = 20,
    controls: Mapping[str, Mapping[str, Iterable[Record]]] | None = None,
    backgrounds: Sequence[str] = background_names(),
) -> Path:
    """Write a release; each split is cut into shards of `shard_rows` with row groups of `group_rows`.

    `controls` holds the other configs (`guides`, `control_scale`, ...), each with its splits.
    """
    configs: dict[str, Mapping[str, Iterable[Record]]] = {"default": splits, **(controls or {})}
    shards = []
    for config, split, records in ((name, split, own[split]) for name, own in configs.items() for split in own):
        rows = [vars(each) for each in records]
        parts = [rows[start : start + shard_rows] for start in range(0, len(rows), shard_rows)] or [[]]
        for index, part in enumerate(parts):
            path = folder / manifests.shard_path(config, split, index, len(parts))
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_pylist(part, arrow_schema(backgrounds)), path, row_group_size=group_rows)
            shards.append(
                manifests.Shard(
                    path=str(path.relative_to(folder)),
                    config=config,
                    split=split,
                    index=index,
                    rows=len(part),
                    bytes=path.stat().st_size,
                    sha256=file_digest(path),
                )
            )
    total = sum(each.rows for each in shards if each.config == "default")
    manifest = manifests.Manifest(
        name="toy",
        kind=kind,
        recipe={},
        plan_digest="0" * 64,
        planned_rows=total,
        limit=total,
        shard_rows=shard_rows,
        backgrounds=list(backgrounds),
        image_size=64,
        sources=[],
        environment={},
        shards=shards,
        failures=[],
    )
    manifests.write(folder, manifest)
    return folder


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The helpers above: test modules cannot import them (import mode `importlib`)."""
    return SimpleNamespace(jpeg=jpeg, record=record, write_release=write_release, age=age)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of 120 noisy colour patches for training and 90 for validation: class tells colour, two classes."""
    rng = np.random.default_rng(0)

    def rows(count: int, first: int) -> list[Record]:
        answer = []
        for i in range(count):
            kind = i % 2
            pixels = rng.integers(0, 60, (48, 48, 3)).astype(np.uint8)
            pixels[..., 2 * kind] += 150
            foreground = (1, 7)[kind]
            source = f"foreground-{first + i // 10}"
            answer.append(record(first + i, jpeg(pixels), foreground, i // 2 % 10, foreground_source=source))
        return answer

    return write_release(tmp_path_factory.mktemp("toy") / "d3s", {"train": rows(120, 0), "validation": rows(90, 1000)})


@pytest.fixture(scope="session")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of kind d3s: 8 photos on five backgrounds, with guides and all controls, each of other noise."""
    configs = {
        name: {"validation": [_noise(seed, i, name.startswith("control")) for i in range(40)]}
        for seed, name in enumerate(("default", *CONTROLS))
    }
    return write_release(
        tmp_path_factory.mktemp("controlled") / "d3s", configs.pop("default"), kind="d3s", controls=configs
    )


def _noise(seed: int, index: int, control: bool) -> Record:
    pixels = np.random.default_rng([seed, index]).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    others = {"background_source": None} if control else {}
    return record(
        index, jpeg(pixels), index // 5 * 83, index % 5, foreground_source=f"foreground-{index // 5}", **others
    )


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """A release of the 200 real photos: no paste, no background photo, the background label goes round."""
    folders = sorted((shared_data / "foregrounds").glob("n*"))
    labels = {each.wnid: each.index for each in classes()}
    files = [next(path for path in sorted(folder.iterdir()) if path.is_file()) for folder in folders]
    rows = [
        record(i, file.read_bytes(), labels[file.parent.name], i % 10, background_source=None)
        for i, file in enumerate(files)
    ]
    return write_release(tmp_path_factory.mktemp("photos") / "d3s", {"validation": rows}, kind="guides")


@pytest.fixture(scope="session")
def real_weights(shared_data: Path) -> Path:
    return shared_data / "weights" / "mobilenetv2_100.safetensors"


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random model, saved: what it says does not matter here, only that it is the same everywhere."""
    import timm
    import torch
    from timm.models import save_for_hf

    folder = tmp_path_factory.mktemp("small") / "model"
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = timm.create_model("test_resnet", num_classes=1000, pretrained_cfg_overlay={"input_size": (3, 32, 32)})
    save_for_hf(network, str(folder), safe_serialization=True)
    age(folder)
    return folder


def age(folder: Path) -> None:
    """Date files back: the digest of a file as young as a test's is not kept."""
    for path in folder.rglob("*"):
        os.utime(path, (time.time() - 60, time.time() - 60 + len(path.name) / 100))


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[[Callable[..., None], list[str]], str]:
    """Run a command that must end with one line and exit code 1; return the line."""

    def run(main: Callable[..., None], arguments: list[str]) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            run_command(main, arguments)
        shown = capsys.readouterr().err
        assert ended.value.code == 1
        assert shown.count("\n") == 1, shown
        return shown

    return run


@pytest.fixture
def twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run `benchmark.run` with these arguments two times: the second needs no torch and writes the same bytes."""

    def run_twice(*line: str) -> None:
        from benchmark import run

        monkeypatch.setenv("D3S_CACHE", str(tmp_path / "cache"))
        run.main([*line, "--out", str(tmp_path / "first")])
        code = (
            f"import sys; from benchmark.run import main; main({[*line, '--out', str(tmp_path / 'second')]!r}); "
            "assert not {'torch', 'timm', 'torchvision', 'transformers', 'datasets'} & set(sys.modules), 'heavy'"
        )
        subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, timeout=100)
        made = [{each.name: each.read_bytes() for each in (tmp_path / out).iterdir()} for out in ("first", "second")]
        assert len(made[0]) == 2
        assert made[0] == made[1]

    return run_twice


@pytest.fixture(scope="session")
def simulate() -> Callable[..., tuple[np.ndarray, Sample]]:
    """Draw right or wrong on `photos` foreground photos, each once on every background, from known accuracies.

    Latent normal: a foreground photo's effect (standard deviation `foreground_spread`), a background photo's
    (`background_spread`; each image takes one of its background's `templates` at random, or `template`) and an image's
    own (1), cut where the accuracy is `p`, a number or one per background. The mix is the mean over all images.
    """

    def draw(
        rng,
        photos: int,
        templates: int,
        p,
        foreground_spread: float,
        background_spread: float,
        backgrounds: int = 10,
        template=None,
    ):
        level = np.broadcast_to(norm.ppf(p) * np.sqrt(1 + foreground_spread**2 + background_spread**2), backgrounds)
        photo, background = np.repeat(np.arange(photos), backgrounds), np.tile(np.arange(backgrounds), photos)
        if template is None:
            template = background * templates + rng.integers(0, templates, len(photo))
        effect = (
            rng.normal(size=photos)[photo] * foreground_spread
            + rng.normal(size=backgrounds * templates)[template] * background_spread
        )
        mixes = np.ones((1, backgrounds))
        sample = Sample(photo, template, background, background, backgrounds, mixes)
        return level[background] + effect + rng.normal(size=len(photo)) > 0, sample

    return draw


@pytest.fixture(scope="session")
def provenance() -> Callable[..., dict]:
    """What predictions of benchmark.run say about themselves; every fact of model and data set can be another."""

    def make(**facts: Any) -> dict:
        model = {"name": "toy", "architecture": None, "tag": None, "kwargs": {}, "digest": "ab" * 32}
        model |= {"precision": "fp32", "transform": {}}
        dataset = {"name": "d3s", "kind": "sample", "revision": None, "digest": "cd" * 32, "config": "default"}
        dataset |= {"split": "validation", "n": 40, "verified_fraction": None, "backgrounds": list(background_names())}
        dataset |= {"release": "cd" * 32}
        dataset["digest"] = facts.pop("images", dataset["digest"])
        for name, value in facts.items():
            (model if name in ("name", "digest", "kwargs", "precision") else dataset)[name] = value
        return {"model": model, "dataset": dataset, "environment": {}, "seconds": 2.0}

    return make


def some_predictions(
    n: int = 40, n_foregrounds: int = 8, n_backgrounds: int = 6, p: float = 0.6, seed: int = 0
) -> Predictions:
    """Random predictions: n images over some foreground and background photos, right with probability p."""
    rng = np.random.default_rng(seed)
    foregrounds, backgrounds = rng.integers(0, n_foregrounds, n), rng.integers(0, n_backgrounds, n)
    foreground = foregrounds * 7 % 1000
    right = rng.random(n) < p
    prediction = (foreground[:, None] + 1 + np.arange(BEST)) % 1000
    prediction[right, 0] = foreground[right]
    probability = np.sort(rng.dirichlet(np.ones(BEST + 1), n)[:, :BEST], axis=1)[:, ::-1].astype(np.float32)
    return Predictions(
        key=np.array([f"{seed}-{i}" for i in range(n)], dtype=object),
        foreground=foreground.astype(np.int64),
        background=(backgrounds % 10).astype(np.int64),
        foreground_source=np.array([f"foreground-{i}" for i in foregrounds], dtype=object),
        background_source=np.array([f"background-{i}" for i in backgrounds], dtype=object),
        prediction=prediction.astype(np.int32),
        probability=probability,
        loss=rng.exponential(size=n).astype(np.float32),
        squares=(probability**2).sum(1),
    )


@pytest.fixture(scope="session")
def make_predictions() -> Callable[..., Predictions]:
    """See `some_predictions`."""
    return some_predictions
