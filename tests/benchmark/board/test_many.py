"""A thousand submissions of 17,000 predictions: how long a fold takes, and how long one with nothing new."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmark import leaderboard
from benchmark.board.ranking import REPRODUCED
from benchmark.board.rules import FILE_NAME
from benchmark.board.schema import Record
from benchmark.board.submission import DESCRIPTION, FOLDER, PREDICTIONS, RESULT, description_of, id_of
from benchmark.board.validation import content_of
from benchmark.data.split import open_split
from benchmark.metrics.compute import result_of
from benchmark.schemas import predictions as predictions_
from benchmark.schemas import result as results
from d3s_dataset.manifest import to_json
from d3s_dataset.utils.cli import note
from tests.benchmark.board.conftest import answers, provenance

SUBMISSIONS, RANKED, IMAGES = 1000, 300, 17_000
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
def test_a_thousand_submissions_of_which_300_are_ranked(make, copies, tmp_path):
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
    for index in range(RANKED):
        _ranked(root, split, index)
    copies(next((root / FOLDER).iterdir()), SUBMISSIONS - RANKED)
    (full, worked, peak), (again, worked_again, _) = (_fold(root, *line) for _ in range(2))
    rules = json.loads((root / FILE_NAME).read_bytes())
    (root / FILE_NAME).write_text(json.dumps(rules | {"protocol_version": 1}))
    rescored, worked_rescored, _ = _fold(root, *line)
    board = json.loads((tmp_path / "board" / "board.json").read_bytes())
    assert sum(each["rank"] is not None for each in board["entries"]) == RANKED
    note(f"{SUBMISSIONS} submissions, {RANKED} ranked: full fold {full:.0f} s, again {again:.1f} s, another protocol "
         f"{rescored:.0f} s, below {peak:.1f} GB; seconds of a core: {worked:.0f}, {worked_again:.1f}, "
         f"{worked_rescored:.0f}")  # fmt: skip
    # Other tests may run beside this one: then what two cores take that do nothing else.
    assert min(full, worked / 2) <= 240
    assert min(again, worked_again) <= 5
    assert min(rescored, worked_rescored / 2) <= 150
    assert peak < 2


def _ranked(root, split, index):
    """Write a submission of other predictions, and the owner's record of it."""
    made = split.predictions(answers(split.foreground, 0.3 + 0.6 * index / RANKED, index))
    made.provenance.update(provenance(split.facts(), f"model-{index:04}", digest=f"{index + 5000:064x}"))
    result = result_of(made, "here", fine=False)
    folder = root / FOLDER / id_of(result)
    folder.mkdir(parents=True)
    results.write(folder / RESULT, result)
    predictions_.write(folder / PREDICTIONS, made)
    (folder / DESCRIPTION).write_bytes(to_json(description_of("web", "", None)))
    record = Record(id=folder.name, content=content_of(folder, IMAGES), seed=1, rows=9, same=9, passed=True,
                    device="cpu", tolerance=0.05, sequence=index)  # fmt: skip
    (root / REPRODUCED).mkdir(exist_ok=True)
    (root / REPRODUCED / f"{folder.name}.json").write_bytes(to_json(record))


def _fold(*arguments: Path | str) -> tuple[float, float, float]:
    """Return what the command takes: seconds, seconds of a core, GB."""
    begun = time.monotonic()
    said = subprocess.run([sys.executable, "-c", MEASURED, *map(str, arguments)], capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    kilobytes, worked = map(float, said.stdout.split("\n")[-2].split())
    # As if the command and both of its workers were as large as the largest of them.
    return time.monotonic() - begun, worked, 3 * kilobytes / 1e6
