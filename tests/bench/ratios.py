"""Ratios that the benches measure, kept per kind of CPU, and the guard that none of them falls.

python -m tests.bench.ratios record [FILE ...]    run the benches, keep their ratios in ratios.json
python -m tests.bench.ratios check [FILE ...]     run them; 1 where a ratio fell by more than 15 %, or is missing

A ratio is of two times of one run, ours the divisor, so that higher is better and the machine's speed cancels. It is
compared with what was recorded on the same kind of CPU. Where other versions are installed, those of that time are
named.
"""

import json
import os
import platform
import re
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("ratios.json")
MOST = 0.15  # of its recorded value, by which a ratio may fall
_PACKAGES = ("torch", "torchvision", "timm", "diffusers", "numpy", "scipy", "pyarrow", "scikit-learn")

NOTED: dict[str, float] = {}  # of this process: "file: what" -> ratio


def note(what: str, value: float) -> None:
    """Keep a ratio of the bench that is running."""
    file = re.match(r"(?:.*/)?(\w+)\.py", os.environ.get("PYTEST_CURRENT_TEST", "none.py"))
    NOTED[f"{file[1] if file else 'none'}: {what}"] = value


def kind() -> str:
    """Return the kind of CPU: its model and how many cores this machine has of it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor() or platform.machine()}, {os.cpu_count()} cores"


def versions() -> dict[str, str]:
    """Return the versions of what the benches run."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def load(path: Path = FILE) -> dict[str, Any]:
    """Return what is recorded: kind of CPU -> versions and ratios."""
    return json.loads(path.read_text()) if path.exists() else {}


def record(noted: Mapping[str, float], path: Path = FILE) -> str:
    """Keep ratios for this kind of CPU, beside those of benches that did not run; return one line about it."""
    every = load(path)
    before = every.get(kind(), {}).get("ratios", {})
    ratios = before | {name: round(value, 3) for name, value in noted.items()}
    every[kind()] = {"versions": versions(), "ratios": dict(sorted(ratios.items()))}
    path.write_text(json.dumps(dict(sorted(every.items())), indent=2) + "\n")
    return f"{len(noted)} ratios of {kind()} recorded in {path.name}"


def problems(noted: Mapping[str, float], recorded: Mapping[str, Any], files: set[str]) -> list[str]:
    """Return one line for each ratio that fell by more than `MOST`, or is recorded and was not measured.

    Args:
        noted: ratios of this run.
        recorded: versions and ratios of this kind of CPU.
        files: the benches that ran, without suffix.
    """
    answer = []
    for name, before in recorded["ratios"].items():
        if name.split(":")[0] not in files:
            continue
        if name not in noted:
            answer.append(f"{name}: recorded as {before:.2f} and not measured")
        elif noted[name] < (1 - MOST) * before:
            fell = 100 * (1 - noted[name] / before)
            answer.append(f"{name}: {noted[name]:.2f}, {fell:.0f} % below the recorded {before:.2f}")
    others = [f"{name} {old}" for name, old in recorded["versions"].items() if versions().get(name) != old]
    return answer + [f"recorded with {', '.join(others)}"] * bool(answer and others)


def main(what: str, *files: str) -> int:
    """Run benches, and record or check their ratios; return the exit status."""
    import pytest

    if what == "check" and kind() not in load():
        print(f"no ratios are recorded for {kind()}: nothing to compare with; `make bench` records them")
        return 0
    here = files or (str(FILE.parent),)
    return int(pytest.main([*here, "-m", "bench", "-s", f"--ratios={what}"]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
