"""Fixtures of all tests: private caches, the folder of real data, releases made once per session, a browser."""

import gc
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from filelock import FileLock

# Before anything imports huggingface_hub or datasets, which read them once.
_CACHE = tempfile.TemporaryDirectory(prefix="d3s-test-cache-", ignore_cleanup_errors=True)
os.environ["HF_HOME"] = _CACHE.name
os.environ["HF_DATASETS_CACHE"] = str(Path(_CACHE.name) / "datasets")
os.environ["D3S_CACHE"] = str(Path(_CACHE.name) / "d3s")
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ.pop("D3S_REPO", None)

from d3s_dataset.utils.processes import keep_freed_memory  # noqa: E402 - after the environment

keep_freed_memory()  # as commands do; for benches that is the same for both sides

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared" / "data"
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


# Files whose tests take longest begin first: a file is one process' work, and the last to end keeps the other waiting.
LONGEST = (
    "test_install", "test_pipeline", "test_faults", "test_cache", "test_reproduce", "test_architecture", "test_run",
    "test_diffuse", "test_page", "test_board", "test_parts", "test_forward", "test_engine",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files; inside a file the order stays (`sort` is stable)."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


def pytest_collection_finish() -> None:
    """Keep what was imported out of garbage collection: some libraries collect in each call, half a second of torch."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Let go of it, or extension modules report their functions as leaked."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def no_other_threads() -> Iterator[None]:
    """Fail a test that leaves torch on another number of threads: the sums of all tests after it would change."""
    before = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    yield
    after = sys.modules["torch"].get_num_threads() if "torch" in sys.modules else None
    expected = before or int(os.environ.get("OMP_NUM_THREADS", after or 0))
    assert after is None or after == expected, f"torch is left on {after} threads: expected {expected}, as before"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real photos, weights and votes; tests that need it skip where it is missing."""
    if not SHARED.is_dir():
        pytest.skip(f"no real data: {SHARED} is missing")
    return SHARED


@pytest.fixture(scope="session")
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `python -m MODULE ARGS...` as a user would, from the project's root or from `cwd`."""

    def run(module: str, *args: object, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", module, *map(str, args)]
        return subprocess.run(line, cwd=cwd, env=os.environ | env, capture_output=True, text=True, timeout=600)

    return run


@pytest.fixture(scope="session")
def sample_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small release of the drawn sample: 480 rows, several shards a split. Read only: copy it to change it."""
    from generation.execution.options import How
    from generation.planning.plan import Plan
    from generation.recipe.recipe import load_recipe
    from generation.release.build import generate
    from generation.run import open_sources

    processes = tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else None
    out = (processes or tmp_path_factory.mktemp("release")) / "sample" / "d3s"
    recipe = load_recipe("sample").changed(rows=480)
    with FileLock(f"{out.parent}.lock"):  # made by the first of the test processes that needs it
        generate(Plan(recipe, *open_sources(recipe, None, None)), out, How(shard_rows=150))
    return out


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Stable Diffusion with random weights, as a folder."""
    from tests.support.tiny_sd import build

    return build(tmp_path_factory.mktemp("sd"))


@pytest.fixture(scope="session")
def photo_folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `foregrounds` and `backgrounds`: real photos, and without `../shared` drawn ones of 20 classes."""
    if SHARED.is_dir():
        return SHARED
    from tests.support.photos import draw_photos

    return draw_photos(tmp_path_factory.mktemp("photos"), tuple(range(0, 1000, 50)), 8)


@pytest.fixture(scope="session")
def guides_release(tmp_path_factory: pytest.TempPathFactory, photo_folders: Path) -> Path:
    """Photos on backgrounds, 100 rows, no diffusion."""
    from generation.planning.plan import Plan
    from generation.recipe.recipe import load_recipe
    from generation.release.build import generate
    from generation.run import open_sources

    out = tmp_path_factory.mktemp("guides") / "d3s"
    recipe = load_recipe("paper").changed(rows=100, model="none")
    sources = open_sources(recipe, str(photo_folders / "foregrounds"), str(photo_folders / "backgrounds"))
    generate(Plan(recipe, *sources), out)
    return out


LADDER = """
name = "ladder"
kind = "shift"
description = "two sizes, two places, three levels of the background's weight"
rows = 144
seed = 3
[splits]
train_rows_per_validation_row = 1
[guide]
size = 64
sizes = [0.5, 1.0]
places = [[0.5, 0.5], [0.0, 0.0]]
[severity]
of = "background"
levels = [0.0, 0.5, 1.0]
[image]
format = "png"
[[backgrounds]]
name = "grass"
phrase = "on grass"
[[backgrounds]]
name = "snow"
phrase = "in snow"
"""


@pytest.fixture(scope="session")
def ladder_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photos of each of two classes on two backgrounds: every size, place and level, 144 rows, no diffusion."""
    from generation.planning.plan import Plan
    from generation.recipe.recipe import parse_recipe
    from generation.release.build import generate
    from generation.run import open_sources
    from tests.support.photos import draw_photos

    folder = tmp_path_factory.mktemp("ladder")
    photos = draw_photos(folder / "photos", count=4)
    recipe = parse_recipe(LADDER, "ladder")
    sources = open_sources(recipe, str(photos / "foregrounds"), str(photos / "backgrounds"))
    generate(Plan(recipe, *sources), folder / "d3s")
    return folder / "d3s"


@pytest.fixture(scope="module")
def browser():
    """Chromium, without a window; tests that need it skip where there is none."""
    binary = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if binary is None:
        pytest.skip("no browser: chromium is not installed (make test-browser installs it)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        yield started
        started.close()


def one_line_error(result: subprocess.CompletedProcess[str]) -> str:
    """Assert that a command failed as bad input should, with one line and exit code 1; return the line."""
    # Warnings, and how far it is where that takes a while, as on a busy machine.
    lines = [line for line in result.stderr.splitlines() if not re.match(r"warning: |[\d,]+ of [\d,]+ images, ", line)]
    assert result.returncode == 1, result.stderr
    assert len(lines) == 1, result.stderr
    assert "Traceback" not in result.stderr
    return lines[0]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print once, below everything, how to get the browser that skipped tests need."""
    skipped = [each for each in terminalreporter.stats.get("skipped", []) if "no browser" in str(each.longrepr)]
    if skipped:
        line = f"{len(skipped)} skipped for want of a browser: `make test-browser` installs Chromium and runs them"
        terminalreporter.write_line(line)
