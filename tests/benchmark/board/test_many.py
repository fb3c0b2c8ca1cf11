"""A thousand submissions of 17,000 predictions: how long a fold takes, and how long one with nothing new."""

import resource
import time

import numpy as np
import pytest

from benchmark import leaderboard, submit
from benchmark.data import open_split
from benchmark.submission import FOLDER
from d3s_dataset.command import note
from tests.benchmark.board.conftest import answers, provenance, written

SUBMISSIONS, IMAGES = 1000, 17_000


@pytest.mark.long
def test_a_thousand_submissions(make, copies, command, tmp_path):
    image = make.jpeg(np.zeros((8, 8, 3), dtype=np.uint8))
    rows = (
        make.record(i, image, i // 10 % 1000, i % 10, foreground_source=f"front-{i // 10}",
                    background_source=f"behind-{i % 10}-{i // 10 % 50}")
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
    spent, worked = [], []
    for _ in range(2):
        begun, before = time.monotonic(), _worked()
        said = command("benchmark.leaderboard", root, *line)
        spent.append(time.monotonic() - begun)
        worked.append(_worked() - before)
        assert said.returncode == 0, said.stderr
    # The largest process, as if the command and both of its workers were as large.
    peak = 3 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    note(f"{SUBMISSIONS} submissions: full fold {spent[0]:.0f} s, again {spent[1]:.1f} s, below {peak:.1f} GB; "
         f"seconds of a core: {worked[0]:.0f}, {worked[1]:.1f}")  # fmt: skip
    # What two cores take that do nothing else: other tests may run beside this one.
    assert worked[0] / 2 <= 200
    assert worked[1] <= 5
    assert peak < 2


def _worked() -> float:
    """Return the seconds of a core that commands have taken so far, with their workers."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
