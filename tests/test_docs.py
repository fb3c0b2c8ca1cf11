"""The READMEs and the card cannot drift: commands, flags, file map and links are checked against the code.

`python -m tests.test_docs` writes the current `--help` of every command into the README of its package.
"""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = "README.md"
MODULES = (
    "generation.run",
    "generation.push",
    "generation.verify",
    "d3s_dataset.check",
    "d3s_dataset.rebuild",
    "d3s_dataset.sheet",
    "benchmark.run",
    "benchmark.train",
    "benchmark.correlate",
    "benchmark.sweep",
    "benchmark.probe",
    "benchmark.score",
    "benchmark.compare",
    "benchmark.power",
    "benchmark.realism",
    "benchmark.report",
    "benchmark.submit",
    "benchmark.leaderboard",
)
VERIFY = "generation.verify"  # the command with subcommands: one block of help each
SUBCOMMANDS = ("prepare", "serve", "export", "import", "aggregate", "audit", "apply", "exclude", "forget")
# README -> the blocks of help that it must hold, in this order.
HELP = {
    "d3s_dataset/README.md": [each for each in MODULES if each.startswith("d3s_dataset.")],
    "generation/README.md": ["generation.run", "generation.push"],
    "generation/verify/README.md": [f"{VERIFY} {each}" for each in SUBCOMMANDS],
    "benchmark/README.md": [each for each in MODULES if each.startswith("benchmark.")],
}
READMES = (README, *HELP, "benchmark/RESULTS.md", "tests/README.md")
LINES = range(130, 171)  # of README.md: one page
REGENERATE = "type: python -m tests.test_docs"
_BLOCK = re.compile(r"(<!-- help:([\w. ]+) -->\n)(.*?)(<!-- /help -->)", re.DOTALL)


def help_of(module: str) -> dict[str, str]:
    """Return a command's help by the name of its block, 100 columns wide; with subcommands, theirs too."""
    line = [sys.executable, "-m", module, "--help"]
    settings = os.environ | {"COLUMNS": "100", "NO_COLOR": "1"}
    shown = subprocess.run(line, cwd=ROOT, env=settings, capture_output=True, text=True, check=True, timeout=600).stdout
    found = {}
    for text in re.split(r"\n\n(?=usage: )", shown):
        name = re.match(rf"usage: python -m ({re.escape(module)}(?: [a-z]\w*)?)", text)
        assert name, text
        found[name[1]] = text.strip()
    return found


def all_help() -> dict[str, str]:
    """Return the help of every command and subcommand."""
    with ThreadPoolExecutor(2) as pool:
        return {name: text for shown in pool.map(help_of, MODULES) for name, text in shown.items()}


def regenerate() -> None:
    """Write the current help into every block of every README."""
    current = all_help()
    for name in HELP:
        path = ROOT / name
        text = _BLOCK.sub(lambda found: f"{found[1]}```\n{current[found[2]]}\n```\n{found[4]}", path.read_text())
        path.write_text(text)


def commands(name: str) -> Iterator[list[str]]:
    """Return every `python -m ...` line of a README as words after `-m`, continuation lines joined."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if match := re.match(r"\s*(?:exec )?python -m (.*)", line):
            yield shlex.split(match[1], comments=True)


def slug(heading: str) -> str:
    """Return the anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.fixture(scope="module")
def help_texts() -> dict[str, str]:
    return all_help()


def test_readme_is_one_page():
    lines = len((ROOT / README).read_text().splitlines())
    assert lines in LINES, f"README.md has {lines} lines, expected {LINES.start} to {LINES.stop - 1}"


def test_readme_lists_every_command():
    assert re.findall(r"^\| \[`([\w.]+)`\]", (ROOT / README).read_text(), re.MULTILINE) == list(MODULES)


@pytest.mark.parametrize("name", READMES)
def test_every_command_and_flag_in_a_readme_exists(name, help_texts):
    for module, *rest in commands(name):
        assert importlib.util.find_spec(module), f"{name}: no module {module}"
        if module not in MODULES:
            continue
        key = f"{module} {rest[0]}" if module == VERIFY else module
        for flag in (word.split("=")[0] for word in rest if word.startswith("--")):
            assert re.search(rf"{flag}\b(?!-)", help_texts[key]), f"{name}: {key} has no {flag}"


def test_every_command_has_a_place_for_its_help(help_texts):
    assert {each for names in HELP.values() for each in names} == set(help_texts) - {VERIFY}


@pytest.mark.parametrize("name", HELP)
def test_a_readme_shows_the_current_help_of_its_commands(name, help_texts):
    blocks = {found[2]: found[3].strip().strip("`") for found in _BLOCK.finditer((ROOT / name).read_text())}
    assert list(blocks) == HELP[name]
    for block, text in blocks.items():
        # Words, not lines: Python's versions wrap a usage line in different places.
        assert text.split() == help_texts[block].split(), f"{name}: the help of {block} is not current: {REGENERATE}"


def test_the_file_map_is_the_tree():
    block = (ROOT / README).read_text().split("<!-- files:begin -->")[1].split("<!-- files:end -->")[0]
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


@pytest.mark.parametrize("name", [*READMES, "dataset_card.md"])
def test_links_lead_somewhere(name):
    path = ROOT / name
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", path.read_text()):
        place, _, anchor = target.partition("#")
        file = path.parent / place if place else path
        assert file.exists(), f"{name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            assert anchor in map(slug, headings), f"{name}: {target}"


if __name__ == "__main__":
    regenerate()
