"""A board with two entries, one of them run again, and what pull requests would make of it."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmark.board.intake import digest_or_none
from benchmark.board.ranking import REPRODUCED
from benchmark.board.schema import Record
from benchmark.board.submission import FOLDER
from d3s_dataset.manifest import to_json
from tests.benchmark.board.conftest import IMAGES, empty_board, measured, release, send

__all__ = ["empty_board", "measured", "release", "send"]  # fixtures
HUB = "hf-hub:lab/net"


def record(root: Path, name: str, sequence: int = 1) -> None:
    """Write the owner's record that a submission was run again."""
    found = Record(id=name, content=digest_or_none(root / FOLDER / name, IMAGES) or "", seed=1, rows=9, same=9,
                   passed=True, device="cpu", tolerance=0.05, sequence=sequence)  # fmt: skip
    path = root / REPRODUCED / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(to_json(found))


@pytest.fixture(scope="session")
def base(empty_board, measured, send, tmp_path_factory) -> Path:
    """`toy`, which was run again, and a Hub repo's weights of today, which wait."""
    scratch = tmp_path_factory.mktemp("base")
    root = shutil.copytree(empty_board, scratch / "board")
    send(measured(scratch / "results"), root, "--license", "mit")
    record(root, next((root / FOLDER).iterdir()).name)
    send(measured(scratch / "results", HUB, 0.5, 1, digest="0a" * 32), root, "--paper", "arXiv:2211.10370")
    return root


@pytest.fixture(scope="session")
def fresh(base, measured, send, tmp_path_factory) -> SimpleNamespace:
    """Submissions that are not on the board, by what they are; each a folder with the name that it should have."""
    made = {}
    for name, model, accuracy, seed, more, facts in (
        ("good", "new", 0.7, 2, ("--license", "apache-2.0"), {"digest": "0b" * 32}),
        ("newer", HUB, 0.9, 3, ("--supersedes", "OLDER"), {"digest": "0c" * 32}),
        ("copy", "other", 0.6, 0, (), {"digest": "0d" * 32}),
        ("alike", "t0y", 0.4, 4, (), {"digest": "0e" * 32}),
    ):
        scratch = tmp_path_factory.mktemp(name)
        root = shutil.copytree(base, scratch / "board")
        before = set((root / FOLDER).iterdir())
        (older,) = (each.name for each in before if "net" in each.name)
        line = [older if each == "OLDER" else each for each in more]
        send(measured(scratch / "results", model, accuracy, seed, **facts), root, *line)
        (made[name],) = set((root / FOLDER).iterdir()) - before
    return SimpleNamespace(**made)


def edit(path: Path, change) -> None:
    said = json.loads(path.read_bytes())
    change(said)
    path.write_text(json.dumps(said))
