"""README and card cannot drift: commands, flags, file map and columns are checked against the code."""

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MODULES = (
    "generation.run",
    "generation.push",
    "generation.verify",
    "d3s_dataset.check",
    "d3s_dataset.sheet",
    "benchmark.run",
    "benchmark.train",
    "benchmark.correlate",
    "benchmark.sweep",
    "benchmark.probe",
    "benchmark.score",
    "benchmark.compare",
    "benchmark.report",
    "benchmark.submit",
    "benchmark.leaderboard",
)


def commands() -> list[str]:
    """Return every `python -m ...` line of README, continuation lines joined."""
    text = README.replace("\\\n", " ")
    return [line.split("#")[0].strip() for line in text.splitlines() if re.match(r"\s*python -m ", line)]


@pytest.fixture(scope="module")
def help_texts(command):
    return {module: command(module, "--help").stdout for module in MODULES}


def test_readme_shows_every_command():
    assert {line.split()[2] for line in commands()} == set(MODULES)


def test_every_flag_in_readme_exists(help_texts):
    for line in commands():
        _, _, module, *rest = shlex.split(line)
        for flag in (word for word in rest if word.startswith("--")):
            assert re.search(rf"{flag}\b", help_texts[module]), f"{module} has no {flag}"


def test_readme_shows_every_flag(help_texts):
    for module, text in help_texts.items():
        for flag in set(re.findall(r"--[a-z][a-z-]+", text)) - {"--help"}:
            assert flag in README, f"README does not mention {flag} of {module}"


def test_the_file_map_is_the_tree():
    block = README.split("<!-- files:begin -->")[1].split("<!-- files:end -->")[0]
    listed, package = set(), ""
    for line in block.splitlines():
        if match := re.match(r"(\w+)/\s", line):
            package = match[1]
        elif match := re.match(r"\s+(\w+\.py|\w+/)\s", line):
            listed.add(f"{package}/{match[1]}")
    there = {
        f"{package}/{path.name}{'/' if path.is_dir() else ''}"
        for package in ("d3s_dataset", "generation", "benchmark")
        for path in (ROOT / package).iterdir()
        if not path.name.startswith("__") and (path.is_dir() or path.suffix == ".py")
    }
    assert listed == there


def test_links_lead_somewhere():
    for text in (README, (ROOT / "dataset_card.md").read_text()):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", text):
            assert (ROOT / target).exists(), target
