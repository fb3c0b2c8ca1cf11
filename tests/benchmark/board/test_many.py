"""A thousand submissions of 17,000 predictions: how long a fold takes, and how long one with nothing new."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmark import leaderboard, submit
from benchmark.board.submission import FOLDER
from benchmark.data.split import open_split
from d3s_dataset.utils.cli import note
from tests.benchmark.board.conftest import answers, provenance, written

SUBMISSIONS, IMAGES = 1000, 17_000
# The command, which then says its largest process in kB, and the seconds of a core that it and its workers took.
MEASURED = """
import resource, sys
from benchmark import leaderboard
if __name__ == "__main__":
    leaderboard.main(sys.argv[1:])
    used = [resource.getrusage(each) for each in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    # Its own ru_maxrss would be no less than what the process that started it had.
    own = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(max(own, used[1].ru_maxrss), sum(each.ru_utime + each.ru_stime for each in used))
"""


@pytest.mark.long
def test_a_thousand_submissions(make, copies, tmp_path):
    image = make.jpeg(np.zeros((8, 8, 3), dtype=np.uint8))
    rows = (
        make.record(i, image, i // 10 % 1000, i % 10, foreground_source=f"foreground-{i // 10}",
                    background_source=f"background-{i % 10}-{i // 10 % 50}")
        for i in range(IMAGES)
    )  # fmt: skip
    release = make.write_release(tmp_path / "d3s", {"validation": rows}, kind="d3s", shard_rows=IMAGES)
    root, line = tmp_path / "submissions", ["--out", str(tmp_path / "board"), "--dataset", str(release)]
    leaderboard.main([str(root), "--begin", "--dataset", str(release)])
    split = open_split(release, "default", "validation")
    made = split.predictions(answers(split.foreground, 0.5, 0))
    made.provenance.update(provenance(split.facts(), "toy"))
    path = written(tmp_path / "results", made)
    submit.main([str(path), "--repo-id", str(root), "--training-data", "web", "--dataset", str(release)])
    copies(next((root / FOLDER).iterdir()), SUBMISSIONS - 1)
    (full, worked, peak), (again, worked_again, _) = (_fold(root, *line) for _ in range(2))
    note(f"{SUBMISSIONS} submissions: full fold {full:.0f} s, again {again:.1f} s, below {peak:.1f} GB; "
         f"seconds of a core: {worked:.0f}, {worked_again:.1f}")  # fmt: skip
    # Other tests may run beside this one: then what two cores take that do nothing else.
    assert min(full, worked / 2) <= 200
    assert min(again, worked_again) <= 5
    assert peak < 2


def _fold(*arguments: Path | str) -> tuple[float, float, float]:
    """Return what the command takes: seconds, seconds of a core, GB."""
    begun = time.monotonic()
    said = subprocess.run([sys.executable, "-c", MEASURED, *map(str, arguments)], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    kilobytes, worked = map(float, said.stdout.split("\n")[-2].split())
    # As if the command and both of its workers were as large as the largest of them.
    return time.monotonic() - begun, worked, 3 * kilobytes / 1e6
