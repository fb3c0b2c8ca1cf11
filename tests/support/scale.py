"""Predictions of any number of rows, and what a command on them takes: peak memory and processor seconds.

python -m tests.support.scale write N SEED FILE         a file of N rows
python -m tests.support.scale score|compare LISTS       run the command on each list of files, see `taken`
"""

import contextlib
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.schemas.predictions import BEST, SCHEMA
from d3s_dataset.taxonomy import background_names
from d3s_dataset.utils.processes import keep_freed_memory
from tests.support.results import dataset, model

_STATUS = Path("/proc/self/status")
_CHUNK = 100_000
_BACKGROUNDS, _CLASSES = 10, 1000


def write(path: Path, n: int, seed: int, *, scenes: int = 0) -> None:
    """Write predictions of `n` images: each photo of an object on each of ten backgrounds, keys as hashed as a plan's.

    Args:
        path: the file; its images are the same for every seed, and the answers are not.
        n: rows.
        seed: of the answers.
        scenes: photos of each background; 0: one for 250 images of it.
    """
    name = model(name=f"model{seed}", digest=f"{seed:016x}", tag=None)
    said = {
        "model": name.model_dump(mode="json"),
        "dataset": dataset(n=n).model_dump(mode="json"),
        "environment": {},
        "seconds": 1.0,
    }
    schema = SCHEMA.with_metadata({"d3s": json.dumps(said)})
    with pq.ParquetWriter(path, schema, compression="zstd") as sink:
        scenes = scenes or max(30, n // _BACKGROUNDS // 250)
        for rows in _spans(n):
            sink.write_table(pa.table(_columns(rows, seed, scenes), schema=schema))


def _spans(n: int) -> Iterator[np.ndarray]:
    yield from (np.arange(start, min(start + _CHUNK, n)) for start in range(0, n, _CHUNK))


def _columns(rows: np.ndarray, seed: int, scenes: int) -> list[pa.Array]:
    names = background_names()
    images, answers = np.random.default_rng([0, rows[0]]), np.random.default_rng([seed, rows[0]])
    photo, background = np.divmod(rows, _BACKGROUNDS)
    foreground, scene = photo % _CLASSES, images.integers(0, scenes, len(rows))
    keys = images.bytes(10 * len(rows)).hex()
    right = answers.random(len(rows)) < 0.55 + 0.03 * background + 0.1 * np.sin(photo) + 0.1 * np.sin(scene)
    best = foreground[:, None] + np.where(right, 0, answers.integers(1, 900, len(rows)))[:, None] + np.arange(BEST)
    sure = np.sort(answers.random((len(rows), BEST)), axis=1)[:, ::-1].astype(np.float32)
    sure /= sure.sum(1, keepdims=True) * np.float32(1.01)
    return [
        pa.array([keys[start : start + 20] for start in range(0, len(keys), 20)]),
        pa.array(foreground),
        pa.array(background),
        pa.array([f"n{1440764 + place % _CLASSES:08d}/{place // _CLASSES:05d}" for place in photo.tolist()]),
        pa.array([f"{names[one]}/{two:05d}" for one, two in zip(background.tolist(), scene.tolist(), strict=True)]),
        _lists((best % _CLASSES).astype(np.int32)),
        _lists(sure),
        pa.array(answers.exponential(size=len(rows)).astype(np.float32)),
        pa.array(np.square(sure).sum(1)),
    ]


def _lists(values: np.ndarray) -> pa.Array:
    offsets = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, values.reshape(-1))


def taken(command: str, *runs: Sequence[Path], quick: bool = False) -> list[dict[str, float]]:
    """Run `benchmark.score` or `benchmark.compare` in a process of its own, once for each list of files.

    Args:
        command: `score` or `compare`.
        runs: the files of each run, the smallest first.
        quick: with 10 resamples and 2 splits: as much memory, less time.

    Returns:
        After each run `peak`, MB of resident memory at the highest so far, and `seconds` of processor time.
    """
    lists = json.dumps([[str(path) for path in files] for files in runs])
    line = [sys.executable, "-m", "tests.support.scale", command, lists, *["quick"] * quick]
    return json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)


def peak() -> float:
    """Return MB of this process's resident memory at the highest.

    Not `getrusage`'s, which a process takes over from the one that started it.
    """
    return next(int(line.split()[1]) for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM")) / 1024


def _run(command: str, runs: str, *quick: str) -> None:
    keep_freed_memory()  # as the command does
    module = import_module(f"benchmark.{command}")
    if quick:
        from benchmark.metrics import intervals, worst_group

        fewer = {"resamples": 10, "splits": 2}
        for each in (intervals.accuracy_intervals, intervals.difference_intervals, worst_group.split_sample):
            assert each.__kwdefaults__
            each.__kwdefaults__.update({name: fewer[name] for name in fewer.keys() & each.__kwdefaults__.keys()})
    found: list[dict[str, float]] = []
    for files in json.loads(runs):
        before = time.process_time()
        with tempfile.TemporaryDirectory() as out, contextlib.redirect_stdout(io.StringIO()):
            module.main([*files, "--out", out if command == "score" else f"{out}/comparison.json"])
        found.append({"peak": peak(), "seconds": time.process_time() - before})
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "write":
        write(Path(rest[2]), int(rest[0]), int(rest[1]))
    else:
        _run(what, *rest)
