"""`make bench`: `benchmark.score` and `benchmark.compare` of up to 12 million rows: peak memory, processor time.

A file of 12M rows takes some minutes to draw. 1,000 models of 20,000 images are compared with one, in one process.
"""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.scale import peak, taken, write

pytestmark = pytest.mark.bench
MILLIONS = (1.5, 3, 6, 12)
MOST = 2000  # MB
_MANY = "import sys; from tests.bench.test_scale import compare_all; compare_all(*sys.argv[1:])"


@pytest.mark.parametrize("command", ["score", "compare"])
def test_memory_is_bounded_and_time_linear(command, tmp_path):
    print(f"\n| {command}, rows | peak, MB | CPU, s | s per million |\n|---|---|---|---|")
    per_million = []
    for millions in MILLIONS:
        files = [tmp_path / f"{seed}.parquet" for seed in (1, 2)][: 1 + (command == "compare")]
        for seed, path in enumerate(files):
            write(path, int(millions * 1e6), seed)
        (used,) = taken(command, files)
        per_million.append(used["seconds"] / millions)
        print(f"| {millions:g}M | {used['peak']:.0f} | {used['seconds']:.0f} | {per_million[-1]:.1f} |", flush=True)
        assert used["peak"] < MOST
    assert per_million[-1] < 1.5 * per_million[0]


def compare_all(first: str, *others: str) -> None:
    """Compare models with the first, and print the peak in MB after a tenth of them and after all."""
    from benchmark.compare import compare

    peaks = []
    for number, path in enumerate(others, start=1):
        with contextlib.redirect_stdout(io.StringIO()):
            compare(Path(first), Path(path))
        if number in (len(others) // 10, len(others)):
            peaks.append(peak())
    print(json.dumps(peaks))


def test_a_thousand_models_take_the_memory_of_two(tmp_path):
    paths = [tmp_path / f"{seed}.parquet" for seed in (1, 2)]
    for seed, path in enumerate(paths):
        write(path, 20_000, seed)
    line = [sys.executable, "-c", _MANY, str(paths[0]), *[str(paths[1])] * 1000]
    tenth, whole = json.loads(subprocess.run(line, check=True, capture_output=True, text=True).stdout)
    print(f"\n1,000 comparisons of 20,000 images: peak {tenth:.0f} MB after 100, {whole:.0f} MB after all")
    assert whole < 1.1 * tenth
